//! What the HTTP adapters share: one client per channel, limits on the time and size of an answer,
//! and what a status means for a delivery.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bellpull_domain::delivery::Outcome;
use bellpull_domain::fault::Fault;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};

use super::said;
use bellpull_config::outside::{NotOutside, Outside, PublicResolver};

/// The time limit of an attempt at a host that users name, from the name's resolution to the last
/// byte of the answer.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(20);

/// The same for the providers of SMS and WhatsApp. They accept a message before they answer, and a
/// repetition is a copy where they have no idempotency key, so the limit is twice as long as their
/// own (Twilio ends a request after 26 s).
pub(super) const MESSAGE_MAX: Duration = Duration::from_secs(60);

/// How much of an answer is read, in bytes; these APIs answer with a hundredth of that.
const ANSWER_MAX: usize = 64 * 1024;

/// How long an idle connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// An HTTP client for one provider.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    client: Client,
}

/// A path below the base, each segment escaped.
pub(super) fn under(mut base: Url, segments: &[&str]) -> Url {
    if let Ok(mut path) = base.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    base
}

/// A provider's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// From `Retry-After`.
    after: Option<Duration>,
    /// Empty if it was longer than the limit.
    body: Vec<u8>,
}

impl Provider {
    /// A client whose attempts may take `attempt_max`.
    pub(super) fn new(attempt_max: Duration) -> Result<Self, reqwest::Error> {
        Self::to(Outside::Any, attempt_max)
    }

    /// A client for URLs that users name.
    pub(super) fn to(outside: Outside, attempt_max: Duration) -> Result<Self, reqwest::Error> {
        let builder =
            bellpull_tls::outbound_client().timeout(attempt_max).pool_idle_timeout(IDLE_MAX);
        let builder = match outside {
            Outside::Public => builder.dns_resolver(Arc::new(PublicResolver)),
            Outside::Any => builder,
        };
        let agent = concat!("bellpull/", env!("CARGO_PKG_VERSION"));
        Ok(Self { client: builder.user_agent(agent).build()? })
    }

    /// A GET of exactly this URL.
    pub(super) fn get_from(&self, url: Url) -> RequestBuilder {
        self.client.request(Method::GET, url)
    }

    /// A POST to exactly this URL.
    pub(super) fn post_to(&self, url: Url) -> RequestBuilder {
        self.client.request(Method::POST, url)
    }

    /// Sends a request and reads only the head of the answer.
    pub(super) async fn knock(&self, request: RequestBuilder) -> Result<Answer, Outcome> {
        let response = request.send().await.map_err(unanswered)?;
        let after = retry_after(response.headers(), Timestamp::now());
        Ok(Answer { status: response.status(), after, body: Vec::new() })
    }

    /// Sends a request; returns an answer with any status, or the outcome if there was none.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Answer, Outcome> {
        let mut response = request.send().await.map_err(unanswered)?;
        let status = response.status();
        let after = retry_after(response.headers(), Timestamp::now());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            if body.len() + chunk.len() > ANSWER_MAX {
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, after, body })
    }
}

impl Answer {
    /// The answer as JSON; `Null` if it is not JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Its body, if it is one to be read.
    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// What a status other than 2xx means. `error` is the provider's own error text; a body that is
    /// not the provider's JSON is left out, because it may repeat the request.
    pub(super) fn judge(&self, error: Option<String>) -> Outcome {
        let fault = match self.status.as_u16() {
            // Of a host that a user named, not of a provider: its credentials are not ours.
            401..=404 | 407 => Fault::Message,
            status => Fault::of_status(status),
        };
        self.by(fault, error)
    }

    /// What a status other than 2xx means, if that is at fault.
    pub(super) fn by(&self, fault: Fault, error: Option<String>) -> Outcome {
        let status = self.status.as_u16();
        let error = match error {
            Some(error) => format!("HTTP {status}: {error}"),
            None => format!("HTTP {status}"),
        };
        fault.outcome(said(&error), self.after)
    }

    /// A temporary failure, retried when the provider says so.
    pub(super) fn later(&self, error: String, is_outage: bool) -> Outcome {
        Outcome::Later { error, after: self.after, is_outage }
    }

    /// A success status without the body that the protocol defines. It is unknown whether the
    /// message was accepted, and such an answer hardly comes from the provider, so it is sent
    /// again.
    pub(super) fn is_none(&self) -> Outcome {
        let error = format!("HTTP {}, but not the provider's own answer", self.status.as_u16());
        self.later(error, true)
    }
}

/// There was no answer, or only a part of one: it is unknown whether the provider accepted the
/// message. The text does not contain the URL, which may be a secret.
fn unanswered(error: reqwest::Error) -> Outcome {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "the answer broke off"
    };
    let error = error.without_url();
    let mut cause: &(dyn Error + 'static) = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if let Some(inside) = cause.downcast_ref::<NotOutside>() {
        // The name may have failed to resolve temporarily; private and unknown names give the same
        // text.
        let error = said(&format!("{what}: {inside}"));
        return Outcome::Later { error, after: None, is_outage: false };
    }
    let error = if error.is_timeout() { what.to_owned() } else { format!("{what}: {cause}") };
    Outcome::Later { error: said(&error), after: None, is_outage: true }
}

/// `Retry-After`, in seconds or as a date in one of the three forms that RFC 9110 (5.6.7) requires.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers, "2015-10-21T07:27:00Z".parse().unwrap())
    }

    #[test]
    fn a_providers_wish_is_read_in_all_its_forms() {
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(after("Wednesday, 21-Oct-15 07:28:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(after("Wed Oct 21 07:28:00 2015"), Some(Duration::from_secs(60)));
        for bad in ["Wed, 21 Oct 2015 07:26:00 GMT", "-1", "soon", ""] {
            assert_eq!(after(bad), None, "{bad}");
        }
    }

    #[test]
    fn segments_cannot_leave_their_place_in_the_path() {
        let base = "https://api.example/v1".parse().unwrap();
        let url = under(base, &["a/../b?c#d", "messages"]);
        assert_eq!(url.as_str(), "https://api.example/v1/a%2F..%2Fb%3Fc%23d/messages");
    }
}
