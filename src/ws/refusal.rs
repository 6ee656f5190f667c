//! Why a socket is not opened, and the HTTP response or close code for it.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bellpull_port::StoreError;
use bellpull_port::outlet::Ending;
use serde_json::json;

use bellpull_auth::AuthError;
use bellpull_wire::code_and_reason;
use bellpull_wire::{BadWish, Dialect};

/// When to retry if the hub is stopping or its store does not answer.
const COME_BACK_S: u32 = 5;

/// Why a socket is not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A plain request on a socket's path.
    NotWebSocket,
    /// A method that no handshake has.
    Method(axum::http::Method),
    /// The path has no sockets.
    NotFound,
    /// The handshake is invalid; the reason.
    BadHandshake(&'static str),
    /// The hub is stopping.
    Draining,
    /// The store does not answer.
    Unavailable,
    /// A page of an origin that is not allowed.
    Origin,
    /// An unknown dialect.
    UnknownDialect(String),
    /// The path's sockets use another dialect only.
    WrongDialect {
        /// That dialect.
        only: Dialect,
    },
    /// The token or the ticket is invalid or missing.
    Token(AuthError),
    /// A service token, which has no inbox.
    NoInbox,
    /// There is no such project, or the caller may not watch it: not distinguished.
    NoProject,
    /// Too many sockets from that address.
    TooFast {
        /// When the next one is admitted.
        retry_after_s: u32,
    },
    /// A parameter's value is invalid: its name, and the reason.
    Invalid(&'static str, &'static str),
    /// The query cannot be parsed, or has a duplicate parameter.
    BadQuery(String),
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable => Self::Unavailable,
            AuthError::Missing
            | AuthError::BadToken(_)
            | AuthError::HubsAccount
            | AuthError::BadCredentials
            | AuthError::Disabled(_)
            | AuthError::NoLogin
            | AuthError::Invalid(..)
            | AuthError::Throttled { .. } => Self::Token(error),
        }
    }
}

impl From<BadWish> for Refusal {
    fn from(BadWish { parameter, problem }: BadWish) -> Self {
        Self::Invalid(parameter, problem)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "refused a socket: the store does not answer");
        Self::Unavailable
    }
}

impl Refusal {
    /// The code in answers and metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotWebSocket => "upgrade_required",
            Self::Method(_) => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::BadHandshake(_) => "bad_handshake",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::UnknownDialect(_) => "unknown_dialect",
            Self::WrongDialect { .. } => "wrong_dialect",
            Self::Origin => "origin_not_allowed",
            Self::Token(AuthError::Missing) => "not_authenticated",
            Self::Token(AuthError::HubsAccount) => "account_is_the_hubs",
            Self::Token(_) => "token_not_valid",
            Self::NoInbox | Self::NoProject => "permission_denied",
            Self::TooFast { .. } => "throttled",
            Self::Invalid(..) | Self::BadQuery(_) => "invalid",
        }
    }

    /// The close code and the reason for a client that reads them on the open socket; `None` if all
    /// clients get an HTTP response.
    pub(super) fn close(&self) -> Option<(u16, String)> {
        let code = match self {
            Self::Token(_) => 4401,
            Self::NoInbox | Self::NoProject => 4403,
            Self::Unavailable => {
                let why = Ending::Restarting { retry_after_ms: COME_BACK_S * 1_000 };
                let (code, reason) = code_and_reason(why);
                return Some((code, reason.into_owned()));
            }
            Self::NotWebSocket
            | Self::Method(_)
            | Self::NotFound
            | Self::BadHandshake(_)
            | Self::Draining
            | Self::Origin
            | Self::UnknownDialect(_)
            | Self::WrongDialect { .. }
            | Self::TooFast { .. }
            | Self::Invalid(..)
            | Self::BadQuery(_) => return None,
        };
        Some((code, self.detail()))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadHandshake(_)
            | Self::UnknownDialect(_)
            | Self::WrongDialect { .. }
            | Self::Invalid(..)
            | Self::BadQuery(_) => StatusCode::BAD_REQUEST,
            Self::Draining | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Origin | Self::Token(_) | Self::NoInbox | Self::NoProject => {
                StatusCode::FORBIDDEN
            }
            Self::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotWebSocket => "This path is for WebSockets.".to_owned(),
            Self::Method(method) => format!("Method \"{method}\" not allowed."),
            Self::NotFound => "Not found.".to_owned(),
            Self::BadHandshake(what) => (*what).to_owned(),
            Self::Draining => "The hub is stopping; come back.".to_owned(),
            Self::Unavailable => "The hub cannot answer now; come back.".to_owned(),
            Self::Origin => "This page's origin is not allowed.".to_owned(),
            Self::UnknownDialect(name) => format!("No dialect has the name {name:?}."),
            Self::WrongDialect { only } => format!("Only {only} is spoken here."),
            Self::Token(err) => err.to_string(),
            Self::NoInbox => "A service token has no inbox.".to_owned(),
            Self::NoProject => "There is no such project, or it is not yours to watch.".to_owned(),
            Self::TooFast { .. } => "Too many sockets from this address.".to_owned(),
            Self::Invalid(_, what) => (*what).to_owned(),
            Self::BadQuery(what) => what.clone(),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::NotWebSocket => {
                vec![
                    (header::UPGRADE, HeaderValue::from_static("websocket")),
                    (header::CONNECTION, HeaderValue::from_static("upgrade")),
                ]
            }
            Self::BadHandshake(_) => {
                vec![(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))]
            }
            Self::TooFast { retry_after_s } => vec![(header::RETRY_AFTER, (*retry_after_s).into())],
            Self::Draining | Self::Unavailable => {
                vec![(header::RETRY_AFTER, COME_BACK_S.into())]
            }
            Self::Method(_)
            | Self::NotFound
            | Self::Origin
            | Self::UnknownDialect(_)
            | Self::WrongDialect { .. }
            | Self::Token(_)
            | Self::NoInbox
            | Self::NoProject
            | Self::Invalid(..)
            | Self::BadQuery(_) => Vec::new(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = if let Self::Invalid(field, what) = &self {
            json!({ *field: [what], "code": self.code() })
        } else {
            json!({ "detail": self.detail(), "code": self.code() })
        };
        let mut response = (self.status(), axum::Json(body)).into_response();
        response.headers_mut().extend(self.headers());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_closing_frame_and_names_what_was_wrong() {
        let token = |why| Refusal::Token(AuthError::BadToken(why));
        for (refusal, code, part) in [
            (Refusal::Token(AuthError::Missing), 4401, "not provided"),
            (token("it has expired"), 4401, "it has expired"),
            (token("the ticket was used, has expired or never was"), 4401, "ticket"),
            (Refusal::NoInbox, 4403, "service token"),
            (Refusal::NoProject, 4403, "project"),
            (Refusal::Unavailable, 1012, r#"{"retry_after_ms":5000}"#),
        ] {
            let (found, reason) = refusal.close().unwrap();
            assert_eq!(found, code);
            assert!(reason.contains(part) && reason.len() <= 123, "{reason}");
        }
        assert_eq!(Refusal::TooFast { retry_after_s: 1 }.close(), None);
    }
}
