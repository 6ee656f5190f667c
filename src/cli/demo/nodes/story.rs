//! The story on several nodes: in its middle the node of Ada's socket is killed, and later started
//! again.

use super::super::act::catch_up;
use super::super::client::Person;
use super::super::story::Cast;
use super::cluster::Cluster;
use super::print;

/// Plays it.
///
/// # Errors
/// The first frame that was missing, duplicated, out of order or wrong.
pub(super) async fn play(mut cast: Cast, cluster: &mut Cluster) -> Result<(), String> {
    for person in cast.all() {
        let first = connect(person, cluster).await?;
        super::super::print::connected(person, &first);
    }
    let ticket = cast.raise(cluster).await?;
    cast.work(cluster, ticket).await?;

    let killed = kill(&mut cast, cluster).await?;
    cast.reject(cluster, ticket).await?;
    for person in cast.all() {
        if !person.is_connected() {
            connect(person, cluster).await?;
            print::back(person);
            catch_up(person).await?;
        }
    }
    cast.finish_again(cluster, ticket).await?;

    if let Some(node) = cluster.nodes.get_mut(killed) {
        print::starting_again(node.name());
        node.start().await.map_err(|error| error.to_string())?;
    }
    cast.approve(cluster, ticket).await?;
    cast.hear_nothing_else().await?;

    let count = cast.compare(&cluster.any_node()?).await?;
    print::complete(count);
    Ok(())
}

/// Opens a socket through the proxy, after the user's cursor, and notes its node.
async fn connect(person: &mut Person, cluster: &Cluster) -> Result<serde_json::Value, String> {
    let (first, from) = person.connect_from().await?;
    let node = cluster.proxy.node_of(from).and_then(|node| cluster.nodes.get(node));
    person.node = Some(node.ok_or("the proxy has lost a connection")?.name().to_owned());
    Ok(first)
}

/// Kills the node of Ada's socket, and waits until all its sockets are gone; returns its number.
async fn kill(cast: &mut Cast, cluster: &mut Cluster) -> Result<usize, String> {
    let name = cast.ada.node.clone().unwrap_or_default();
    let number = cluster.node(&name).ok_or(format!("there is no node {name}"))?;
    let node = cluster.nodes.get_mut(number).ok_or("there is no such node")?;
    node.kill().await.map_err(|error| error.to_string())?;
    print::killed(&name);
    for person in cast.all() {
        if person.node.as_ref() == Some(&name) {
            person.loses_the_connection().await?;
            print::cut_off(person);
            person.node = None;
        }
    }
    Ok(number)
}
