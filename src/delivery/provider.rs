//! What all adapters share that speak HTTP: one client a channel, a limit on how long and how much
//! a provider may answer, and what its status means for a delivery.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::domain::delivery::Outcome;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};

use super::outside::{NotOutside, Outside, PublicResolver};
use super::said;

/// How long an attempt may take in all, from the name's resolution to the answer's last byte. The
/// channel's own limit, 30 s, is only for adapters that fail to keep theirs.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(20);

/// What is read of an answer, in bytes. What these APIs answer is a hundredth of that.
const ANSWER_MAX: usize = 64 * 1024;

/// A connection that nobody uses is kept so long.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The way to one provider.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    client: Client,
}

/// A path under the base, each segment escaped.
pub(super) fn under(mut base: Url, segments: &[&str]) -> Url {
    if let Ok(mut path) = base.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    base
}

/// What a provider answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// When it wants to be asked again.
    after: Option<Duration>,
    /// Empty where it was longer than anybody reads.
    body: Vec<u8>,
}

impl Provider {
    /// A way to it on which an attempt may take so long.
    pub(super) fn new(attempt_max: Duration) -> Result<Self, reqwest::Error> {
        Self::to(Outside::Any, attempt_max)
    }

    /// A way to addresses that users give.
    pub(super) fn to(outside: Outside, attempt_max: Duration) -> Result<Self, reqwest::Error> {
        let builder = crate::tls::client().timeout(attempt_max).pool_idle_timeout(IDLE_MAX);
        let builder = match outside {
            Outside::Public => builder.dns_resolver(Arc::new(PublicResolver)),
            Outside::Any => builder,
        };
        let agent = concat!("bellpull/", env!("CARGO_PKG_VERSION"));
        Ok(Self { client: builder.user_agent(agent).build()? })
    }

    /// A post to exactly this address.
    pub(super) fn post_to(&self, url: Url) -> RequestBuilder {
        self.client.request(Method::POST, url)
    }

    /// Asks, and looks at nothing but how the answer begins.
    pub(super) async fn knock(&self, request: RequestBuilder) -> Result<Answer, Outcome> {
        let response = request.send().await.map_err(unanswered)?;
        let after = retry_after(response.headers(), Timestamp::now());
        Ok(Answer { status: response.status(), after, body: Vec::new() })
    }

    /// Asks; an answer of whatever status, or what it means that there was none.
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
    /// The answer as JSON; `Null` for what is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What a status other than 2xx means. `error` is what the provider says of it; a body that
    /// is not the provider's own JSON is left out: it may repeat what it was sent.
    pub(super) fn judge(&self, error: Option<String>) -> Outcome {
        let status = self.status.as_u16();
        let error = said(&match error {
            Some(error) => format!("HTTP {status}: {error}"),
            None => format!("HTTP {status}"),
        });
        match status {
            408 | 425 | 429 => self.later(error, false),
            500.. => self.later(error, true),
            _ => Outcome::Refused { error },
        }
    }

    /// Another attempt is worth it, when the provider says so.
    pub(super) fn later(&self, error: String, is_outage: bool) -> Outcome {
        Outcome::Later { error, after: self.after, is_outage }
    }

    /// It says that all is well, and not what its protocol has for it. Whether it took the
    /// message, nobody knows; whoever answers so is hardly the provider, so it goes out again.
    pub(super) fn is_none(&self) -> Outcome {
        let error = format!("HTTP {}, but not the provider's own answer", self.status.as_u16());
        self.later(error, true)
    }
}

/// What it means that there was no answer, or only half of one: whether the provider took the
/// message, nobody knows. The text has no address in it: some addresses are secrets.
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
        // Resolving may have failed for now: what is private and what is unknown are one here.
        let error = said(&format!("{what}: {inside}"));
        return Outcome::Later { error, after: None, is_outage: false };
    }
    let error = if error.is_timeout() { what.to_owned() } else { format!("{what}: {cause}") };
    Outcome::Later { error: said(&error), after: None, is_outage: true }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
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
    fn a_providers_wish_is_read_in_both_its_forms() {
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(60)));
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
