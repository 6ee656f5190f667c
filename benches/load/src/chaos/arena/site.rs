//! What schedules run on, one after the other: a program, and for several nodes services, which are
//! started once and emptied for each schedule.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::super::fault::LANES;
use crate::LoadError;
use crate::cluster::{Proxy, Services, ServicesOptions};

/// The name of a schedule's database: a file, or a database of PostgreSQL.
const DATABASE: &str = "schedule";

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
        proxy: Proxy,
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

    /// An empty database for so many nodes; one node's lies in `folder`.
    ///
    /// # Errors
    /// A service does not start.
    pub(super) async fn backing(
        &mut self,
        nodes: usize,
        folder: &Path,
    ) -> Result<(Backing<'_>, Urls), LoadError> {
        if nodes < 2 {
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
        let direct = services.postgres.empty_database(DATABASE).await?;
        let address = services.postgres.address();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let proxy = Proxy::start(any, &[address; LANES]).await?;
        let database = direct.replace(&address.to_string(), &proxy.address().to_string());
        let redis = Some(services.redis.url());
        Ok((Backing::Services { services, proxy }, Urls { database, direct, redis }))
    }
}
