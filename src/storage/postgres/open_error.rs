//! Why a database could not be opened.

use std::fmt;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;

use super::sql_errors::{NOT_PREPARED, POOLER, PREPARED_TWICE, code};

/// Why a database could not be opened; the text is one line for the operator and contains no
/// password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of PostgreSQL's.
    #[error(
        "the database's address is not valid: {0}. Write postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Address(String),
    /// The server has no such database.
    #[error("there is no database {} at {server}: create it first (CREATE DATABASE)", .server.database)]
    NoDatabase {
        /// The server.
        server: Server,
    },
    /// The server does not accept the user or the password.
    #[error("PostgreSQL at {server} rejected the login of user {}: {reason}", .server.user)]
    Login {
        /// The server.
        server: Server,
        /// Its reason.
        reason: String,
    },
    /// The connection was to be encrypted, and the server does not encrypt any.
    #[error(
        "PostgreSQL at {server} does not support TLS, which the address's sslmode requires: enable \
         it in the server (ssl = on), or write sslmode=prefer"
    )]
    NoTls {
        /// The server.
        server: Server,
    },
    /// The server does not answer, or refuses the connection.
    #[error("cannot connect to PostgreSQL at {server}: {reason}")]
    Connect {
        /// The server.
        server: Server,
        /// Why.
        reason: String,
    },
    /// The server is not one that a hub can write to.
    #[error("the database at {server} cannot be used: {reason}")]
    Unusable {
        /// The server.
        server: Server,
        /// Why.
        reason: String,
    },
    /// The schema is of a later version of the hub.
    #[error(
        "the database at {server} was migrated by a newer version of bellpull (migration {version} \
         is unknown here): run that version or a later one"
    )]
    Newer {
        /// The server.
        server: Server,
        /// The last migration, which this version does not know.
        version: i64,
    },
    /// The user may not create tables, or not change those that are there.
    #[error(
        "cannot migrate the database at {server}: user {} lacks a right: {reason}. Make the user \
         the owner of the database (ALTER DATABASE … OWNER TO …)", .server.user
    )]
    Rights {
        /// The server.
        server: Server,
        /// What the server says.
        reason: String,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database at {server}: {reason}")]
    Migrate {
        /// The server.
        server: Server,
        /// Why.
        reason: String,
    },
}

/// A server's address, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    place: String,
    user: String,
    database: String,
}

impl Server {
    pub(super) fn of(address: &PgConnectOptions) -> Self {
        let place = match address.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", address.get_host(), address.get_port()),
        };
        let user = address.get_username().to_owned();
        // As the server does it.
        let database = address.get_database().unwrap_or(&user).to_owned();
        Self { place, user, database }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.database)
    }
}

impl OpenError {
    /// A connection failed.
    pub(super) fn connecting(server: &Server, error: sqlx::Error) -> Self {
        let server = server.clone();
        let reason = reason(&error);
        match (code(&error).as_deref(), &error) {
            (Some(NO_DATABASE), _) => Self::NoDatabase { server },
            (Some(WRONG_PASSWORD | NO_LOGIN), _) => Self::Login { server, reason },
            (Some(PREPARED_TWICE | NOT_PREPARED), _) => {
                Self::Unusable { server, reason: POOLER.to_owned() }
            }
            (_, sqlx::Error::Tls(why)) if why.to_string() == NO_TLS => Self::NoTls { server },
            _ => Self::Connect { server, reason },
        }
    }

    /// The schema could not be brought up to date.
    pub(super) fn migrating(server: &Server, error: MigrateError) -> Self {
        let server = server.clone();
        if let MigrateError::VersionMissing(version) = error {
            return Self::Newer { server, version };
        }
        let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error
        else {
            return Self::Migrate { server, reason: error.to_string() };
        };
        let reason = reason(&error);
        if code(&error).as_deref() == Some(NO_RIGHT) {
            return Self::Rights { server, reason };
        }
        Self::Migrate { server, reason }
    }

    /// Whether the database was found but its schema could not be brought up to date.
    pub(crate) fn is_migration(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Rights { .. } | Self::Migrate { .. })
    }
}

/// The error without what is said around it, on one line.
fn reason(error: &sqlx::Error) -> String {
    let text = if let Some(error) = error.as_database_error() {
        error.message().to_owned()
    } else if let sqlx::Error::Io(error) = error {
        error.to_string()
    } else if matches!(error, sqlx::Error::PoolTimedOut) {
        "no answer in time".to_owned()
    } else {
        error.to_string()
    };
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The text of `sqlx` for a server that does not encrypt.
const NO_TLS: &str = "server does not support TLS";
const NO_DATABASE: &str = "3D000";
const WRONG_PASSWORD: &str = "28P01";
/// No such user, or none that may connect from here.
const NO_LOGIN: &str = "28000";
const NO_RIGHT: &str = "42501";
