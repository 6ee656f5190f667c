//! Test calls: what a user's webhook or push service answers now.

use std::time::{Duration, Instant};

use bellpull_domain::delivery::Outcome;
use tokio::time::timeout;

use super::provider::Answer;
use bellpull_config::outside::Outside;

/// How long a test waits, whatever an attempt to deliver may take: its user is told the result, so
/// it ends before the request limit of 15 s.
const TEST_MAX: Duration = Duration::from_secs(10);

/// The result of a test call, for the user who requested it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took, in ms.
    pub took_ms: u64,
    /// Why it was not accepted, as a text for users.
    pub error: Option<String>,
}

impl Called {
    /// Makes the call. Failures are reported after whole seconds, so that the time of a name's
    /// resolution is not visible to users.
    pub(super) async fn make(
        outside: Outside,
        call: impl Future<Output = Result<Answer, Outcome>>,
        judge: fn(&Answer) -> Outcome,
    ) -> Self {
        let begun = Instant::now();
        let answer = timeout(TEST_MAX, call).await.unwrap_or_else(|_| {
            let error = "no answer in time".to_owned();
            Err(Outcome::Later { error, after: None, is_outage: true })
        });
        if outside == Outside::Public && answer.is_err() {
            // A name in the operator's own network is resolved faster than an unknown one.
            let whole = begun.elapsed().as_secs() + 1;
            tokio::time::sleep_until((begun + std::time::Duration::from_secs(whole)).into()).await;
        }
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let took_ms = match answer.is_err() && outside == Outside::Public {
            true => took_ms / 1_000 * 1_000,
            false => took_ms,
        };
        let (status, outcome) = match answer {
            Ok(answer) => (Some(answer.status.as_u16()), judge(&answer)),
            Err(outcome) => (None, outcome),
        };
        let error = match &outcome {
            Outcome::Sent { .. } => None,
            Outcome::Later { .. }
            | Outcome::AboutUs { .. }
            | Outcome::Refused { .. }
            | Outcome::Gone { .. } => outcome.detail().map(str::to_owned),
        };
        Self { status, took_ms, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_never_answered_has_a_result_within_the_request_limit() {
        let judge =
            |_: &Answer| Outcome::Later { error: String::new(), after: None, is_outage: false };
        let made = Called::make(Outside::Any, std::future::pending(), judge);
        let made = timeout(Duration::from_secs(15), made).await.unwrap();
        assert_eq!((made.status, made.error.as_deref()), (None, Some("no answer in time")));
    }
}
