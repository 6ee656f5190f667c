//! The record of what admins and operators change: one event in the log for each request, with who,
//! what, which resource and the outcome, and nothing of the content.
//!
//! It is recorded what needs an admin's right. Steps of tickets are in their history.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use bellpull_actors::domain::user::User;

use crate::auth::Principal;

/// The rest of a longer path is not shown: some have names that the caller chose.
const PATH_MAX: usize = 200;

/// A change that an admin asks for.
#[derive(Debug)]
pub(super) struct Act {
    by: Arc<User>,
    method: Method,
    path: String,
}

impl Act {
    /// What a request changes; `None` if it only reads.
    pub(super) fn of(parts: &Parts, principal: &Principal) -> Option<Self> {
        if parts.method.is_safe() {
            return None;
        }
        let by = Arc::clone(&principal.user);
        let path = parts.uri.path().chars().take(PATH_MAX).collect();
        Some(Self { by, method: parts.method.clone(), path })
    }

    /// Records it with its outcome: `None` if its client left before the answer.
    pub(super) fn record(&self, status: Option<StatusCode>) {
        let Self { by, method, path } = self;
        tracing::info!(
            target: "bellpull::audit",
            user = by.id.0,
            username = %by.username,
            role = by.role.as_str(),
            %method,
            path,
            status = status.map(|status| status.as_u16()),
            "an admin's request"
        );
    }
}
