//! What schedules run on, one after the other: a program, and for several nodes services, which are
//! started once and emptied for each schedule.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::super::fault::FaultKind;
use super::super::plan::Plan;
use super::lines::Lines;
use crate::LoadError;
use crate::cluster::{Services, ServicesOptions};

/// The name of a schedule's database: a file, or a database of PostgreSQL.
pub(super) const DATABASE: &str = "schedule";

/// The program, and services once a schedule needed them.
#[derive(Debug)]
pub struct Site {
    pub(super) program: PathBuf,
    services: Option<Services>,
}

/// What the nodes of one schedule store in, and speak over.
#[derive(Debug)]
pub(super) enum Backing<'a> {
    /// One node: SQLite in the schedule's folder.
    File,
    /// Several: PostgreSQL and Redis.
    Services {
        services: &'a mut Services,
        /// Between the nodes and PostgreSQL.
        database: Lines,
        /// Between the nodes and Redis.
        broker: Lines,
    },
}

/// Where the database is.
#[derive(Debug, Clone)]
pub(super) struct Urls {
    /// For the nodes.
    pub(super) database: String,
    /// The same database, on a way that faults do not cut.
    pub(super) direct: String,
    pub(super) redis: Option<String>,
}

impl Site {
    /// A site for this program; nothing is started.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program, services: None }
    }

    /// An empty database for a schedule; one node's lies in `folder`.
    ///
    /// # Errors
    /// A service does not start.
    pub(super) async fn backing(
        &mut self,
        plan: &Plan,
        folder: &Path,
    ) -> Result<(Backing<'_>, Urls), LoadError> {
        if plan.nodes < 2 {
            let url = format!("sqlite://{}", folder.join(format!("{DATABASE}.db")).display());
            return Ok((Backing::File, Urls { database: url.clone(), direct: url, redis: None }));
        }
        let services = match self.services.take() {
            Some(mut services) => {
                // The last schedule may have failed while one of them was away.
                services.postgres.resume().await?;
                services.redis.kill().await?;
                services.redis.resume().await?;
                services
            }
            None => Services::start(ServicesOptions { is_durable: false }).await?,
        };
        let services = self.services.insert(services);
        services.postgres.set_slow_commits(plan.faults.contains(&FaultKind::Crash)).await?;
        let direct = services.postgres.empty_database(DATABASE).await?;
        let (postgres, redis) = (services.postgres.address(), services.redis.address());
        let (database, broker) = (Lines::to(postgres).await?, Lines::to(redis).await?);
        let urls = Urls {
            database: by_way_of(&database, &direct, postgres),
            redis: Some(by_way_of(&broker, &services.redis.url(), redis)),
            direct,
        };
        Ok((Backing::Services { services, database, broker }, urls))
    }
}

/// The URL of a server, on the way over lines to it.
fn by_way_of(lines: &Lines, url: &str, server: SocketAddr) -> String {
    url.replace(&server.to_string(), &lines.address().to_string())
}
