//! Push services (RFC 8030): Google's, Mozilla's, Apple's and Microsoft's, by what they say about a
//! subscription.
//!
//! A browser binds a subscription to the key that its page named (RFC 8292, 4.2). With another key
//! it can never be used again, which each service says in words of its own, with 400, 401 or 403.

/// What services say of a subscription that was made for another key.
const OTHER_KEY: [&str; 6] = [
    // Apple.
    "vapidpkhashmismatch",
    // Google.
    "do not correspond to the credentials used to create the subscription",
    "mismatchsenderid",
    "sender id mismatch",
    // Mozilla.
    "vapid public key mismatch",
    // Microsoft.
    "public key does not match",
];

/// Whether an answer with that status and text means that the subscription cannot be used any more.
#[must_use]
pub fn has_ended(status: u16, text: &str) -> bool {
    let is_of_other_key = || {
        let text = text.to_lowercase();
        OTHER_KEY.iter().any(|words| text.contains(words))
    };
    matches!(status, 404 | 410) || (matches!(status, 400 | 401 | 403) && is_of_other_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_of_another_key_has_ended() {
        const GOOGLE: &str = "the VAPID credentials in the authorization header do not correspond to \
            the credentials used to create the subscriptions.";
        const MOZILLA: &str = r#"{"code":401,"errno":109,"error":"Unauthorized",
            "message":"VAPID public key mismatch"}"#;
        for (status, text, ended) in [
            (404, "", true),
            (410, "push subscription has unsubscribed or expired.", true),
            (403, GOOGLE, true),
            (401, MOZILLA, true),
            (400, r#"{"reason":"VapidPkHashMismatch"}"#, true),
            (403, r#"{"reason":"VapidPkHashMismatch"}"#, true),
            (400, "<TITLE>MismatchSenderId</TITLE>", true),
            // About the request, or about the hub's credentials.
            (400, r#"{"reason":"BadWebPushTopic"}"#, false),
            (403, r#"{"reason":"BadJwtToken"}"#, false),
            (401, r#"{"errno":109,"message":"Invalid bearer token: Auth > vapid"}"#, false),
            (403, "", false),
            (500, GOOGLE, false),
        ] {
            assert_eq!(has_ended(status, text), ended, "{status} {text}");
        }
    }
}
