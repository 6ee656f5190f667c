//! The demo on several nodes: their processes and a proxy before them, one of them killed in the
//! middle of the story.
//!
//! Sockets are opened through the proxy, requests are sent to a node that has no recipient's socket
//! if there is one: most frames travel from one node to another. At the end, what each user has
//! received is compared with the inbox.

mod cluster;
mod print;
mod story;

use super::super::serve::Signals;
use super::super::{CliError, open_store, user};
use super::client::Person;
use super::{Args, CAST, PASSWORD, account, listen};
use bellpull_auth::password;
use bellpull_config::Config;
use bellpull_port::Store;
use bellpull_port::accounts::LoginName;
use cluster::{Cluster, Plan};

/// Starts the nodes and plays the story; keeps serving after it unless `--once`.
///
/// # Errors
/// A frame that was missing, duplicated, out of order or wrong; or why a node did not start.
pub(super) async fn run(args: Args) -> Result<(), CliError> {
    let mut signals = Signals::listen()?;
    let count = usize::from(args.nodes);
    let plan = Plan::of(&args.settings, count)?;
    let (once, config) = (args.once, args.settings.load_quietly()?);
    let plan = plan.with_own_ports(&config)?;
    let told = || CliError::failed("ended by a signal, before the story was over");
    print::starting(count, plan.has_own_services());
    let listen = listen(config.listen, once);
    let started = Cluster::start(plan, listen);
    let mut cluster = tokio::select! {
        started = started => started?,
        () = signals.received() => return Err(told()),
    };
    let outcome = tokio::select! {
        outcome = play(&mut cluster, config) => outcome,
        () = signals.received() => return Err(told()),
    };
    if outcome.is_ok() && !once {
        print::serving(&cluster, PASSWORD, &CAST);
        signals.received().await;
    }
    // A second signal does not wait for them.
    tokio::select! {
        () = cluster.stop() => {}
        () = signals.received() => {}
    }
    outcome
}

async fn play(cluster: &mut Cluster, config: Config) -> Result<(), CliError> {
    print::started(cluster);
    let config = Config { database_url: cluster.database().to_owned().into(), ..config };
    let store = open_store(&config).await?;
    let mut people = Vec::new();
    for member in CAST {
        let joined = join(&*store, cluster, member).await;
        people.push(joined);
    }
    store.close().await;
    let people = people.into_iter().collect::<Result<Vec<_>, _>>()?;
    let cast = super::story::Cast::of(people).map_err(CliError::failed)?;
    story::play(cast, cluster).await.map_err(CliError::failed)
}

/// A user with an account, which may be of an earlier demo.
async fn join(
    store: &dyn Store,
    cluster: &Cluster,
    member: (&str, &str, &str),
) -> Result<Person, CliError> {
    let (username, full_name, _) = member;
    if store.credentials(&LoginName::Username(username.to_owned())).await?.is_none() {
        let hash = password::hash(PASSWORD).map_err(CliError::failed)?;
        user::make(store, account(member, hash).map_err(CliError::failed)?).await?;
    }
    let node = cluster.any_node().map_err(CliError::failed)?;
    let joined = async {
        let person = Person::log_in(&node, username, full_name, PASSWORD).await?;
        // What an earlier demo has left in the inbox is known.
        let known = person.inbox(&node, 0).await?;
        let known = known.last().map_or(0, |entry| entry.seq);
        Ok::<_, String>(person.with_sockets_at(&cluster.url(), known))
    };
    joined.await.map_err(CliError::failed)
}
