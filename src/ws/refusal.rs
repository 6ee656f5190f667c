//! Why a socket is not opened, and how that is said over HTTP.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::auth::AuthError;

/// Why a socket is not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A plain request came to a socket's path.
    NotWebSocket,
    /// The handshake is not one; what is wrong with it.
    BadHandshake(&'static str),
    /// The hub is stopping.
    Draining,
    /// A page of an origin that is not allowed.
    Origin,
    /// No dialect has that name.
    UnknownDialect(String),
    /// The token will not do, or there is none.
    Token(AuthError),
    /// A service token, which has no inbox.
    NoInbox,
    /// Too many sockets too fast from that address.
    TooFast {
        /// When the next one may come.
        retry_after_s: u64,
    },
    /// A parameter's value will not do: its name, and what is wrong.
    Invalid(&'static str, &'static str),
    /// The query cannot be read, or a parameter stands there twice.
    BadQuery(String),
}

impl Refusal {
    /// For machines: in the answer and in metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotWebSocket => "upgrade_required",
            Self::BadHandshake(_) => "bad_handshake",
            Self::Draining => "draining",
            Self::Origin => "origin_not_allowed",
            Self::UnknownDialect(_) => "unknown_dialect",
            Self::Token(AuthError::Missing) => "not_authenticated",
            Self::Token(AuthError::Unavailable) => "unavailable",
            Self::Token(_) => "token_not_valid",
            Self::NoInbox => "permission_denied",
            Self::TooFast { .. } => "throttled",
            Self::Invalid(..) | Self::BadQuery(_) => "invalid",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::BadHandshake(_)
            | Self::UnknownDialect(_)
            | Self::Invalid(..)
            | Self::BadQuery(_) => StatusCode::BAD_REQUEST,
            Self::Draining | Self::Token(AuthError::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Origin | Self::Token(_) | Self::NoInbox => StatusCode::FORBIDDEN,
            Self::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotWebSocket => "This path is for WebSockets.".to_owned(),
            Self::BadHandshake(what) => (*what).to_owned(),
            Self::Draining => "The hub is stopping; come back.".to_owned(),
            Self::Origin => "This page's origin is not allowed.".to_owned(),
            Self::UnknownDialect(name) => format!("No dialect has the name {name:?}."),
            Self::Token(err) => err.to_string(),
            Self::NoInbox => "A service token has no inbox.".to_owned(),
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
            Self::Draining | Self::Token(AuthError::Unavailable) => {
                vec![(header::RETRY_AFTER, HeaderValue::from_static("5"))]
            }
            Self::Origin
            | Self::UnknownDialect(_)
            | Self::Token(_)
            | Self::NoInbox
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
