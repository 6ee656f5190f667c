//! How a session ends for its client: the close code and the reason.

use std::borrow::Cow;

use bellpull_port::outlet::Ending;

/// The close code and reason of each ending.
#[must_use]
pub fn code_and_reason(why: Ending) -> (u16, Cow<'static, str>) {
    let (code, reason) = match why {
        Ending::Closed { code } => (code, ""),
        Ending::Protocol { code, reason } => (code, reason),
        Ending::TooBig => (1009, "a message is too long"),
        Ending::Restarting { retry_after_ms } => {
            return (1012, format!(r#"{{"retry_after_ms":{retry_after_ms}}}"#).into());
        }
        Ending::Abuse => (4400, "too many bad messages"),
        Ending::TokenEnded(end) => (4401, end.as_str()),
        Ending::RightWithdrawn => (4403, "right withdrawn"),
        Ending::Silent => (4408, "no sign of life"),
        Ending::TooSlow => (4413, "reader too slow"),
        Ending::TooMany { reason } => (4429, reason),
    };
    (code, reason.into())
}
