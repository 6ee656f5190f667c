//! What was started for a run and ends with it: a server, or the nodes of a cluster.

use std::path::Path;

use super::LoadError;
use super::cluster::{NodeOptions, Nodes, Services, ServicesOptions};
use super::plan::Place;
use super::spawn::{self, Spawned, UNLIMITED};
use super::tokens::{Participants, Roster};

/// Ended when it is dropped.
#[derive(Debug)]
pub enum Started {
    /// One process.
    Server(Spawned),
    /// Several, and what they share.
    Cluster {
        /// First: they end before their services.
        nodes: Nodes,
        /// A PostgreSQL and a Redis of their own.
        services: Box<Services>,
    },
}

impl Started {
    /// The process ids of its nodes.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::Server(server) => vec![server.pid()],
            Self::Cluster { nodes, .. } => nodes.iter().filter_map(|node| node.pid()).collect(),
        }
    }
}

/// Starts a hub with this roster's accounts.
///
/// # Errors
/// See the text: its database, or the hub's error.
pub async fn hub(
    binary: Option<&Path>,
    roster: &Roster,
) -> Result<(Started, Vec<Place>, Participants), LoadError> {
    let (server, place, participants) = spawn::hub(binary, roster).await?;
    Ok((Started::Server(server), vec![place], participants))
}

/// Starts this many nodes with this roster's accounts, on services of their own.
///
/// # Errors
/// See the text: a program that is missing, or the error of what does not start.
pub async fn cluster(
    count: usize,
    roster: &Roster,
) -> Result<(Started, Vec<Place>, Participants), LoadError> {
    let services = Services::start(ServicesOptions::default()).await?;
    let (binary, database) = (spawn::own_binary()?, services.postgres.url());
    let secret = spawn::secret()?;
    let participants = spawn::accounts(&binary, &database, &secret, roster).await?;
    let settings = UNLIMITED.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secret = ("BELLPULL_JWT_SECRET".to_owned(), secret);
    let options = NodeOptions {
        program: Some(binary),
        database,
        redis: Some(services.redis.url()),
        settings: settings.chain([secret]).chain(spawn::connections()).collect(),
        ..NodeOptions::default()
    };
    let nodes = Nodes::start(&options, count).await?;
    let places = nodes.iter().map(|node| Place::parse(&node.url())).collect::<Result<_, _>>()?;
    Ok((Started::Cluster { nodes, services: Box::new(services) }, places, participants))
}
