//! Error responses: one table for the whole edge.
//!
//! The shapes are those of Django REST framework, which existing clients parse:
//! `{"detail","code"}`, and for invalid fields `{"title":["…"],"code":"invalid"}`. A store's error
//! text goes to the log and never to a client.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bellpull_actors::directory::CommandError;
use bellpull_actors::hub::RestartError;
use bellpull_domain::ticket::Refusal;
use bellpull_port::StoreError;
use serde_json::{Map, Value};

use super::responses::Problem;
use bellpull_auth::AuthError;
use bellpull_auth::register::ADMINS_NAME;

/// The code for an account of the hub's that another issuer's token, or a back end, names.
pub(super) const HUBS_ACCOUNT: &str = "account_is_the_hubs";

/// The advice for every list.
const NARROWER: &str = "Narrow the list with filters, or ask for an earlier page.";

/// A page begins less than this far from the list's beginning. A store skips as many index entries
/// to get there, some 5 ms of work; a client that wants more narrows the list.
pub(super) const ROWS_MAX: i64 = 100_000;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// Invalid fields, each with everything that is wrong with it.
    Fields(FieldErrors),
    /// The body is not JSON (or not unambiguous JSON).
    Parse(String),
    /// Credentials are missing.
    NotAuthenticated,
    /// The request makes no sense for this caller.
    BadRequest {
        /// A stable code.
        code: &'static str,
        /// A text for users.
        detail: String,
    },
    /// The credentials are invalid.
    BadToken(String),
    /// Another issuer's token names an account of the hub's.
    HubsAccount(String),
    /// A login failed.
    BadCredentials(String),
    /// The caller may not do this.
    Forbidden(String),
    /// Disabled by configuration.
    Disabled(&'static str),
    /// The resource does not exist, or the caller may not see it.
    NotFound,
    /// The page does not exist.
    InvalidPage,
    /// The page begins too far from the list's beginning.
    PageTooDeep,
    /// The path exists, the method does not.
    MethodNotAllowed(Method),
    /// The resource's state does not allow it.
    Conflict {
        /// `wrong_status`, or `conflict` for a concurrent change.
        code: &'static str,
        /// A text for users.
        detail: String,
    },
    /// The body is larger than `http.max_body_bytes`.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body's type is not JSON.
    UnsupportedMediaType(String),
    /// The body is compressed, or encoded otherwise.
    UnsupportedEncoding(String),
    /// Too many attempts.
    Throttled {
        /// When to try again.
        retry_after_s: u32,
    },
    /// A list or a search exceeded its time limit; how to ask for less.
    TooSlow(&'static str),
    /// Too many lists and searches are waiting.
    Busy,
    /// The hub cannot do it now; it may be retried.
    Unavailable,
    /// A defect in the program.
    Internal,
}

/// Invalid fields; each may have several errors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Adds an error.
    pub(super) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(message.into());
    }

    /// Adds an error, unless the field already has `max`.
    pub(super) fn add_up_to(&mut self, max: usize, field: &str, message: String) {
        if self.0.get(field).is_none_or(|texts| texts.len() < max) {
            self.add(field, message);
        }
    }

    /// Whether there are no errors.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors by field. An object without a struct: a field may have any name.
    fn body(&self, code: &'static str) -> Map<String, Value> {
        let errors = self.0.iter();
        let mut body: Map<String, Value> =
            errors.map(|(field, texts)| (field.clone(), texts.as_slice().into())).collect();
        // A field that is itself called `code` keeps its errors.
        body.entry("code").or_insert_with(|| code.into());
        body
    }
}

impl ApiError {
    /// One field with one error.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Self::Fields(errors)
    }

    /// The database refuses a value.
    fn unstorable() -> Self {
        let detail = "The database cannot store a value of this request.".to_owned();
        Self::BadRequest { code: "unstorable", detail }
    }

    /// The caller's role is not sufficient.
    pub(super) fn forbidden() -> Self {
        Self::Forbidden("You do not have permission to perform this action.".to_owned())
    }

    /// Adds advice to the error of a list that was too slow.
    pub(super) fn narrow(self, how: &'static str) -> Self {
        if matches!(self, Self::TooSlow(_)) { Self::TooSlow(how) } else { self }
    }

    /// The table: status, code, text.
    fn parts(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as S;
        match self {
            Self::Fields(_) => (S::BAD_REQUEST, "invalid", String::new()),
            Self::Parse(why) => {
                (S::BAD_REQUEST, "parse_error", format!("JSON parse error - {why}"))
            }
            Self::BadRequest { code, detail } => (S::BAD_REQUEST, *code, detail.clone()),
            Self::NotAuthenticated => {
                let detail = "Authentication credentials were not provided.".to_owned();
                (S::UNAUTHORIZED, "not_authenticated", detail)
            }
            Self::BadToken(detail) => (S::UNAUTHORIZED, "token_not_valid", detail.clone()),
            Self::HubsAccount(detail) => (S::UNAUTHORIZED, HUBS_ACCOUNT, detail.clone()),
            Self::BadCredentials(detail) => (S::UNAUTHORIZED, "no_active_account", detail.clone()),
            Self::Forbidden(detail) => (S::FORBIDDEN, "permission_denied", detail.clone()),
            Self::Disabled(detail) => (S::FORBIDDEN, "disabled", (*detail).to_owned()),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found.".to_owned()),
            Self::InvalidPage => (S::NOT_FOUND, "not_found", "Invalid page.".to_owned()),
            Self::PageTooDeep => {
                let detail = format!(
                    "Invalid page: pages end {ROWS_MAX} rows from the beginning. Narrow the list \
                     with filters."
                );
                (S::NOT_FOUND, "not_found", detail)
            }
            Self::MethodNotAllowed(method) => {
                let detail = format!("Method \"{method}\" not allowed.");
                (S::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            }
            Self::Conflict { code, detail } => (S::CONFLICT, *code, detail.clone()),
            Self::TooLarge { limit } => {
                let detail = format!("The request body is larger than {limit} bytes.");
                (S::PAYLOAD_TOO_LARGE, "too_large", detail)
            }
            Self::UnsupportedMediaType(found) => {
                let detail = format!("Unsupported media type \"{found}\" in request.");
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
            }
            Self::UnsupportedEncoding(found) => {
                let detail =
                    format!("Unsupported Content-Encoding \"{found}\": send the body as it is.");
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
            }
            Self::Throttled { retry_after_s } => {
                let detail = format!(
                    "Request was throttled. Expected available in {retry_after_s} seconds."
                );
                (S::TOO_MANY_REQUESTS, "throttled", detail)
            }
            Self::TooSlow(how) => {
                let detail = format!("This took longer than it may, and was stopped. {how}");
                (S::SERVICE_UNAVAILABLE, "too_slow", detail)
            }
            Self::Busy => {
                let detail = "Too many lists and searches wait, try again later.".to_owned();
                (S::SERVICE_UNAVAILABLE, "busy", detail)
            }
            Self::Unavailable => {
                let detail = "Service temporarily unavailable, try again later.".to_owned();
                (S::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
            Self::Internal => {
                (S::INTERNAL_SERVER_ERROR, "error", "A server error occurred.".to_owned())
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, detail) = self.parts();
        let mut response = if let Self::Fields(errors) = &self {
            (status, Json(errors.body(code))).into_response()
        } else {
            (status, Json(Problem { detail, code })).into_response()
        };
        let headers = response.headers_mut();
        match self {
            Self::NotAuthenticated
            | Self::BadToken(_)
            | Self::HubsAccount(_)
            | Self::BadCredentials(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Throttled { retry_after_s } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
            }
            // A store or an actor is back within a second, or not soon.
            Self::Unavailable | Self::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Fields(_)
            | Self::Parse(_)
            | Self::BadRequest { .. }
            | Self::Forbidden(_)
            | Self::Disabled(_)
            | Self::NotFound
            | Self::InvalidPage
            | Self::PageTooDeep
            | Self::TooSlow(_)
            | Self::MethodNotAllowed(_)
            | Self::Conflict { .. }
            | Self::TooLarge { .. }
            | Self::UnsupportedMediaType(_)
            | Self::UnsupportedEncoding(_)
            | Self::Internal => {}
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotFound => Self::NotFound,
            Refusal::Forbidden { .. } => Self::Forbidden(detail),
            Refusal::WrongStatus { .. } => Self::Conflict { code: "wrong_status", detail },
            Refusal::Stale { .. } => Self::Conflict { code: "conflict", detail },
            Refusal::Invalid { field, message } => Self::field(field, message),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::Used(used) => used.into(),
            CommandError::Unstorable => Self::unstorable(),
            CommandError::Unavailable(why) => {
                tracing::warn!(%why, "a ticket command was not carried out");
                Self::Unavailable
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => {
                let detail = "Another request changed this at the same time.".to_owned();
                Self::Conflict { code: "conflict", detail }
            }
            StoreError::Taken(field) => {
                let (whose, what) = match field {
                    "email" => ("user", "email address"),
                    "key" => ("project", field),
                    _ => ("user", field),
                };
                Self::field(field, format!("A {whose} with that {what} already exists."))
            }
            StoreError::TooSimilar("full_name") => Self::field("full_name", ADMINS_NAME),
            StoreError::TooSimilar(field) => {
                let what = if field == "email" { "email address" } else { field };
                Self::field(field, format!("This {what} looks like another user's."))
            }
            StoreError::NotFound => Self::NotFound,
            StoreError::Used(used) => used.into(),
            StoreError::LastSuperAdmin => {
                let text = "The last active super admin keeps that role and stays switched on.";
                Self::Forbidden(text.to_owned())
            }
            StoreError::Unstorable => Self::unstorable(),
            StoreError::TooSlow => Self::TooSlow(NARROWER),
            StoreError::Busy => Self::Busy,
            StoreError::Unavailable(why) => {
                tracing::warn!(%why, "the store did not answer");
                Self::Unavailable
            }
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        match error {
            AuthError::Missing => Self::NotAuthenticated,
            AuthError::BadToken(_) => Self::BadToken(detail),
            AuthError::HubsAccount => Self::HubsAccount(detail),
            AuthError::BadCredentials => Self::BadCredentials(detail),
            AuthError::Disabled(why) => Self::Disabled(why),
            AuthError::NoLogin => Self::BadRequest { code: "no_login", detail },
            AuthError::Invalid(field, message) => Self::field(field, message),
            AuthError::Throttled { retry_after_s } => Self::Throttled { retry_after_s },
            AuthError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<RestartError> for ApiError {
    fn from(error: RestartError) -> Self {
        match error {
            RestartError::NotFound => Self::NotFound,
            RestartError::Unavailable => Self::Unavailable,
            RestartError::TooMany { retry_after_s } => Self::Throttled { retry_after_s },
        }
    }
}

#[cfg(test)]
mod tests {
    use bellpull_domain::ticket::Status;
    use serde_json::json;

    use super::*;

    async fn shown(error: ApiError) -> (u16, Value, Response<()>) {
        let (parts, body) = error.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap();
        (parts.status.as_u16(), body, Response::from_parts(parts, ()))
    }

    #[tokio::test]
    async fn every_outcome_has_its_status_and_code() {
        let wrong = Refusal::WrongStatus { action: "open", status: Status::Finished };
        let forbidden = Refusal::Forbidden { action: "open", allowed: "an admin" };
        let table: Vec<(ApiError, u16, &str)> = vec![
            (Refusal::NotFound.into(), 404, "not_found"),
            (forbidden.into(), 403, "permission_denied"),
            (wrong.into(), 409, "wrong_status"),
            (Refusal::Stale { expected: 1, actual: 2 }.into(), 409, "conflict"),
            (CommandError::Unavailable("disk".into()).into(), 503, "unavailable"),
            (StoreError::Conflict.into(), 409, "conflict"),
            (StoreError::NotFound.into(), 404, "not_found"),
            (StoreError::LastSuperAdmin.into(), 403, "permission_denied"),
            (AuthError::Missing.into(), 401, "not_authenticated"),
            (AuthError::BadToken("expired").into(), 401, "token_not_valid"),
            (AuthError::HubsAccount.into(), 401, "account_is_the_hubs"),
            (AuthError::BadCredentials.into(), 401, "no_active_account"),
            (AuthError::Disabled("elsewhere").into(), 403, "disabled"),
            (AuthError::NoLogin.into(), 400, "no_login"),
            (AuthError::Unavailable.into(), 503, "unavailable"),
            (RestartError::NotFound.into(), 404, "not_found"),
            (RestartError::TooMany { retry_after_s: 1 }.into(), 429, "throttled"),
            (ApiError::InvalidPage, 404, "not_found"),
            (ApiError::PageTooDeep, 404, "not_found"),
            (StoreError::Unstorable.into(), 400, "unstorable"),
            (CommandError::Unstorable.into(), 400, "unstorable"),
            (StoreError::TooSlow.into(), 503, "too_slow"),
            (StoreError::Busy.into(), 503, "busy"),
            (ApiError::MethodNotAllowed(Method::PUT), 405, "method_not_allowed"),
            (ApiError::TooLarge { limit: 9 }, 413, "too_large"),
            (ApiError::UnsupportedMediaType("text/plain".into()), 415, "unsupported_media_type"),
            (ApiError::Throttled { retry_after_s: 7 }, 429, "throttled"),
            (ApiError::Parse("bad".into()), 400, "parse_error"),
            (ApiError::Internal, 500, "error"),
        ];
        for (error, status, code) in table {
            let text = format!("{error:?}");
            let (found, body, _) = shown(error).await;
            assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{text}");
            assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{text}");
        }
    }

    #[tokio::test]
    async fn bad_fields_come_by_name_with_all_that_is_wrong() {
        let mut errors = FieldErrors::default();
        errors.add("title", "This field is required.");
        errors.add("priority", "\"X\" is not a valid choice.");
        let (status, body, _) = shown(ApiError::Fields(errors)).await;
        assert_eq!(status, 400);
        let wanted = json!({"title": ["This field is required."],
            "priority": ["\"X\" is not a valid choice."], "code": "invalid"});
        assert_eq!(body, wanted);
        let (_, body, _) = shown(StoreError::Taken("email").into()).await;
        let text = "A user with that email address already exists.";
        assert_eq!(body, json!({"email": [text], "code": "invalid"}));
    }

    #[tokio::test]
    async fn headers_say_how_to_go_on_and_a_store_s_text_stays_here() {
        let secret = StoreError::Unavailable("near \"SELECT\": syntax error".into());
        let (_, body, response) = shown(secret.into()).await;
        assert!(!body.to_string().contains("SELECT"));
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let (_, _, response) = shown(ApiError::Throttled { retry_after_s: 7 }).await;
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        let (_, body, response) = shown(ApiError::NotAuthenticated).await;
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(body["detail"], "Authentication credentials were not provided.");
    }
}
