//! From a request's bytes to its fields: content type, size and syntax are checked here, before any
//! handler sees a value.

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::fields::{Fields, kind};
use super::in_flight::Slot;
use super::once::SentKey;
use super::strict_json;
use bellpull_auth::{AuthError, SignedBody};
use bellpull_edge::unsent::UNCOUNTED_MAX;

/// The size limit of bodies (`http.max_body_bytes`).
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

impl<S> FromRequest<S> for Fields
where
    BodyLimit: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts, body, BodyLimit::from_ref(state)).await?;
        Self::parse(&parts.headers, &bytes)
    }
}

/// A body's fields; unknown ones are refused. For the hub's own resources.
#[derive(Debug)]
pub(super) struct Strict(pub(super) Fields);

impl<S> FromRequest<S> for Strict
where
    BodyLimit: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(Fields::from_request(request, state).await?.strict()))
    }
}

/// A body without fields: it may be missing or empty.
#[derive(Debug)]
pub(super) struct NoFields;

impl<S> FromRequest<S> for NoFields
where
    BodyLimit: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts, body, BodyLimit::from_ref(state)).await?;
        Fields::parse(&parts.headers, &bytes)?.strict().finish()?;
        Ok(Self)
    }
}

/// The largest batch of reports that a provider sends: Meta's have up to 3 MB.
const REPORTS_MAX: usize = 3 << 20;

/// The raw body, for providers that sign its bytes.
#[derive(Debug)]
pub(super) struct Raw(pub(super) Vec<u8>);

impl<S> FromRequest<S> for Raw
where
    BodyLimit: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let BodyLimit(limit) = BodyLimit::from_ref(state);
        read(&parts, body, BodyLimit(limit.max(REPORTS_MAX))).await.map(Self)
    }
}

impl Fields {
    /// The fields of a body that has been read.
    pub(super) fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, ApiError> {
        let key = SentKey::of(headers, bytes);
        // White space, and `null`, are what others make of an absent body.
        // Many clients POST an action without a body, some of them with a content type.
        let is_absent = matches!(bytes.trim_ascii(), b"" | b"null");
        if is_absent {
            return Ok(Self::new(Map::new()).with_key(key));
        }
        check_type(headers)?;
        let value = strict_json::parse(bytes).map_err(ApiError::Parse)?;
        let kind = kind(&value);
        let Value::Object(object) = value else {
            let text = format!("Invalid data. Expected a dictionary, but got {kind}.");
            return Err(ApiError::field("non_field_errors", text));
        };
        Ok(Self::new(object).with_key(key))
    }
}

/// Reads the body up to the limit, whatever its head announced, within the budget of all bodies,
/// which is held until the request ends.
async fn read(
    parts: &Parts,
    mut body: Body,
    BodyLimit(limit): BodyLimit,
) -> Result<Vec<u8>, ApiError> {
    check_encoding(&parts.headers)?;
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|value| value.parse::<u64>().ok());
    let announced = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge { limit });
    }
    let slot = parts.extensions.get::<Slot>();
    let mut room = slot.map(Slot::body);
    // Memory grows as bytes arrive: an announced size takes nothing from others.
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(UNCOUNTED_MAX));
    while let Some(frame) = body.frame().await {
        let broken = "the body could not be read to its end";
        let frame = frame.map_err(|_| ApiError::Parse(broken.to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(ApiError::TooLarge { limit });
        }
        if length > UNCOUNTED_MAX
            && let Some(room) = &mut room
        {
            room.grow(data.len())?;
        }
        bytes.extend_from_slice(&data);
    }
    if let (Some(slot), Some(room)) = (slot, room) {
        slot.keep(room);
    }
    if parts.extensions.get::<SignedBody>().is_some_and(|signed| !signed.is(&bytes)) {
        return Err(AuthError::BadToken("it is a pass for another body").into());
    }
    Ok(bytes)
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).map_or(Ok(""), |value| value.to_str());
    let given = given.unwrap_or("?");
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::UnsupportedMediaType(given.chars().take(100).collect()))
}

/// Bodies are read as they are sent: one that is compressed would be no JSON.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let codings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str());
    for coding in codings.flat_map(|value| value.unwrap_or("?").split(',')) {
        let coding = coding.trim();
        if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            let shown: String = coding.chars().take(64).collect();
            return Err(ApiError::UnsupportedEncoding(shown));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::*;

    async fn outcome(request: Request) -> Result<Fields, StatusCode> {
        let fields = Fields::from_request(request, &BodyLimit(64)).await;
        fields.map_err(|error| error.into_response().status())
    }

    fn request(kind: &str, body: impl Into<Body>) -> Request {
        Request::post("/").header(CONTENT_TYPE, kind).body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for good in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(outcome(request(good, "{}")).await.is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
            let status = outcome(request(bad, "{}")).await.unwrap_err();
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{bad}");
        }
        let bare = Request::post("/").body(Body::from("{}")).unwrap();
        assert_eq!(outcome(bare).await.unwrap_err(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn no_body_is_an_empty_object() {
        assert!(outcome(Request::post("/").body(Body::empty()).unwrap()).await.is_ok());
        for absent in ["", " ", "\r\n\t", "null", " null\n"] {
            assert!(outcome(request("application/json", absent)).await.is_ok(), "{absent:?}");
            assert!(outcome(request("text/plain", absent)).await.is_ok(), "{absent:?}");
        }
    }

    #[tokio::test]
    async fn a_compressed_body_is_refused_as_such() {
        for (coding, is_good) in [
            ("identity", true),
            ("", true),
            ("Identity, identity", true),
            ("gzip", false),
            ("identity, br", false),
            ("deflate", false),
        ] {
            let request = Request::post("/").header(CONTENT_TYPE, "application/json");
            let request = request.header(CONTENT_ENCODING, coding).body(Body::from("{}"));
            let wanted = if is_good { None } else { Some(StatusCode::UNSUPPORTED_MEDIA_TYPE) };
            assert_eq!(outcome(request.unwrap()).await.err(), wanted, "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_it_says_its_length_or_not() {
        let long = "x".repeat(65);
        let announced = Request::post("/").header(CONTENT_LENGTH, "65").body(Body::empty());
        let chunks =
            futures_util::stream::iter([long.clone(), long.clone()].map(Ok::<_, std::io::Error>));
        let endless = u128::MAX.to_string();
        let absurd = Request::post("/").header(CONTENT_LENGTH, endless).body(Body::from(long));
        for request in [
            announced.unwrap(),
            request("application/json", Body::from_stream(chunks)),
            absurd.unwrap(),
        ] {
            let status = outcome(request).await.unwrap_err();
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        }
    }

    #[tokio::test]
    async fn only_an_object_will_do() {
        for bad in ["[]", "1", "nul", "\"x\"", "{\"a\":1,\"a\":1}", "{"] {
            let status = outcome(request("application/json", bad)).await.unwrap_err();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        }
    }
}
