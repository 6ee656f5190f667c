//! The record of what admins and operators change: an entry of the audit log and an event in the
//! log for each request, with who, what, which resource and the outcome, and nothing of the
//! content.
//!
//! It is recorded what needs an admin's right. Steps of tickets are in their history, and what back
//! ends send (by service tokens, thousands a second) in the list of sends: the log has them only.
//!
//! The answer waits for the entry. If it cannot be written, the change stands, but it is not
//! acknowledged: an error is logged, and the caller is answered 503.

use std::net::IpAddr;
use std::sync::{Arc, Once};

use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use bellpull_domain::user::User;
use bellpull_port::audit::AuditEntry;
use bellpull_port::{AuditStore, Clock, StoreError};
use tokio::sync::OnceCell;

use bellpull_auth::Principal;

/// The rest of a longer path is not shown: some have names that the caller chose.
const PATH_MAX: usize = 200;

/// What entries are written with.
#[derive(Debug, Clone)]
pub(super) struct AuditLog {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) clock: Arc<dyn Clock>,
    /// The name of this node.
    pub(super) node: String,
}

/// A change that an admin asks for.
#[derive(Debug)]
pub(super) struct Act {
    log: AuditLog,
    by: Arc<User>,
    method: Method,
    action: String,
    path: String,
    address: IpAddr,
    is_service: bool,
    logged: Once,
    recorded: OnceCell<()>,
}

impl Act {
    /// What a request changes; `None` if it only reads.
    pub(super) fn of(
        parts: &Parts,
        principal: &Principal,
        address: IpAddr,
        log: AuditLog,
    ) -> Option<Self> {
        if parts.method.is_safe() {
            return None;
        }
        let path: String = parts.uri.path().chars().take(PATH_MAX).collect();
        let route = parts.extensions.get::<MatchedPath>().map_or(&*path, MatchedPath::as_str);
        if route.ends_with("/preview/") {
            return None; // it changes nothing, and an editor asks for one after every word
        }
        Some(Self {
            log,
            by: Arc::clone(&principal.user),
            method: parts.method.clone(),
            action: format!("{} {route}", parts.method),
            path,
            address,
            is_service: principal.is_service,
            logged: Once::new(),
            recorded: OnceCell::new(),
        })
    }

    /// Records it once with its outcome: `None` if its client left before the answer.
    ///
    /// # Errors
    /// The store's, which is logged.
    pub(super) async fn record(&self, status: Option<StatusCode>) -> Result<(), StoreError> {
        self.recorded.get_or_try_init(|| self.write(status)).await.copied()
    }

    async fn write(&self, status: Option<StatusCode>) -> Result<(), StoreError> {
        let Self { log, by, method, action, path, address, is_service, logged, recorded: _ } = self;
        let status = status.map(|status| status.as_u16());
        logged.call_once(|| {
            tracing::info!(
                target: "bellpull::audit",
                user = by.id.0,
                username = %by.username,
                role = by.role.as_str(),
                %method,
                path,
                %address,
                status,
                "an admin's request"
            );
        });
        if *is_service && action == "POST /api/notifications/" {
            return Ok(());
        }
        let entry = AuditEntry {
            at: log.clock.now(),
            user: by.id,
            username: by.username.to_string(),
            role: by.role.as_str().to_owned(),
            action: action.clone(),
            path: path.clone(),
            address: address.to_string(),
            status,
            node: log.node.clone(),
        };
        log.store.add_audit(entry).await.inspect_err(|error| {
            tracing::error!(action, path, %error, "an entry of the audit log could not be written");
        })
    }
}
