//! `load-accounts`: creates accounts for the load tester, which knows no store.

use std::io::BufRead;

use bellpull_domain::address::Addresses;
use bellpull_domain::user::{Origin, Role};
use bellpull_port::AccountStore;
use bellpull_port::accounts::NewUser;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::store::open_own_store;
use super::{CliError, SettingFlags, print_line};

/// The store commits accounts in groups; this many are waited for at once.
const AT_ONCE: usize = 256;

/// The options of `load-accounts`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Creates an account without a password for each role on stdin (one per line), and prints their
/// ids in the same order.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    let roles: Vec<String> = std::io::stdin()
        .lock()
        .lines()
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::failed(format!("stdin: {error}")))?;
    let store = open_own_store(&config).await?;
    let made = create(&*store, &roles).await;
    store.close().await;
    let ids: Vec<String> = made?.into_iter().map(|id| id.to_string()).collect();
    print_line(&ids.join("\n"))
}

async fn create(store: &dyn AccountStore, roles: &[String]) -> Result<Vec<i64>, CliError> {
    let one = |(n, role): (usize, &String)| {
        let role = role.parse::<Role>();
        async move {
            let new = NewUser {
                id: None,
                origin: Origin::Hub,
                username: format!("load{n}"),
                addresses: Addresses::default(),
                full_name: String::new(),
                role: role.map_err(|error| CliError::wrong(error.to_string()))?,
                is_email_verified: true,
                password_hash: None,
                now: Timestamp::now(),
            };
            Ok::<_, CliError>(store.create_user(new, None).await?.0.id.0)
        }
    };
    futures_util::stream::iter(roles.iter().enumerate().map(one))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
