//! WhatsApp's status reports, which Meta posts to the hub.
//!
//! The address is not secret, so a report counts only with the signature of the app's secret over
//! the exact bytes of the body; without a configured secret none counts. Reports are repeated until
//! they are answered with 200, and arrive in any order.

use bellpull_domain::delivery::{ProviderReport, ProviderStatus};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::Sha256;

use super::said;
use bellpull_config::Secret;
use bellpull_config::delivery::WhatsAppConfig;

/// The header with the signature, in lower case.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// What authenticates a caller.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    app_secret: Option<Secret>,
    verify_token: Option<Secret>,
}

impl Reports {
    /// From the settings; no caller is trusted while WhatsApp is off.
    #[must_use]
    pub fn new(config: Option<&WhatsAppConfig>) -> Self {
        let Some(config) = config else { return Self::default() };
        let WhatsAppConfig { app_secret, verify_token, .. } = config.clone();
        Self { app_secret, verify_token }
    }

    /// Whether this is the token that an operator entered at the provider.
    #[must_use]
    pub fn is_verified(&self, token: &str) -> bool {
        let Some(wanted) = &self.verify_token else { return false };
        // Compares digests, so that the time taken reveals nothing.
        let digest = |text: &str| mac(wanted, text.as_bytes());
        digest(token).verify(&digest(wanted.reveal()).finalize().into_bytes()).is_ok()
    }

    /// Whether a body is signed with the app's secret; `signature` is the header's value.
    #[must_use]
    pub fn is_signed(&self, body: &[u8], signature: &str) -> bool {
        let Some(secret) = &self.app_secret else { return false };
        let Some(bytes) = signature.strip_prefix("sha256=").and_then(unhex) else { return false };
        mac(secret, body).verify_slice(&bytes).is_ok()
    }
}

fn mac(secret: &Secret, bytes: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.chain_update(bytes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|one| u8::try_from(one).ok());
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    pairs.map(byte).collect()
}

/// The status reports in a body; everything else is ignored (incoming messages arrive the same
/// way).
///
/// # Errors
/// What is wrong with a body that the provider did not send.
pub fn read(body: &[u8]) -> Result<Vec<ProviderReport>, serde_json::Error> {
    let call: Call = serde_json::from_slice(body)?;
    let changes = call.entry.into_iter().flat_map(|entry| entry.changes);
    Ok(changes.flat_map(|change| change.value.statuses).filter_map(Status::report).collect())
}

#[derive(Deserialize)]
struct Call {
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    value: Changed,
}

#[derive(Deserialize)]
struct Changed {
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    id: String,
    status: String,
    /// Seconds, as text.
    timestamp: String,
    #[serde(default)]
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: i64,
    #[serde(default)]
    title: String,
    error_data: Option<ErrorData>,
}

#[derive(Deserialize)]
struct ErrorData {
    #[serde(default)]
    details: String,
}

impl Status {
    fn report(self) -> Option<ProviderReport> {
        let status = ProviderStatus::from_name(&self.status)?;
        let at = Timestamp::from_second(self.timestamp.parse().ok()?).ok()?;
        let error = self.errors.into_iter().next().map(|error| {
            let details = error.error_data.map(|data| data.details);
            let text = details.filter(|text| !text.is_empty()).unwrap_or(error.title);
            said(&format!("{} {text}", error.code))
        });
        let error = error.filter(|_| status == ProviderStatus::Failed);
        Some(ProviderReport { provider_id: self.id, status, error, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports() -> Reports {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        Reports { app_secret: secret("app"), verify_token: secret("verify") }
    }

    #[test]
    fn only_the_apps_signature_over_the_very_bytes_counts() {
        // printf '{"a":1}' | openssl dgst -sha256 -hmac app
        let good = "sha256=814634749e1ce1a2cf7adbd84cc0eaefbe20da82ee4138d59f067f1947eaeb73";
        assert!(reports().is_signed(br#"{"a":1}"#, good));
        assert!(
            reports().is_signed(br#"{"a":1}"#, &format!("sha256={}", good[7..].to_uppercase()))
        );
        assert!(!reports().is_signed(br#"{"a": 1}"#, good));
        for bad in ["", "sha256=", &good[7..], &good[..60], "sha256=zz", &good.replace("256", "1")]
        {
            assert!(!reports().is_signed(br#"{"a":1}"#, bad), "{bad}");
        }
        assert!(!Reports::default().is_signed(br#"{"a":1}"#, good));
    }

    #[test]
    fn only_the_token_that_was_entered_verifies() {
        assert!(reports().is_verified("verify"));
        for bad in ["", "Verify", "verify ", "verif"] {
            assert!(!reports().is_verified(bad), "{bad}");
        }
        assert!(!Reports::default().is_verified(""));
    }

    #[test]
    fn a_call_may_report_on_several_messages_and_have_other_news_too() {
        let body = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[
            {"field":"messages","value":{"messaging_product":"whatsapp","metadata":{},"statuses":[
                {"id":"wamid.1","status":"delivered","timestamp":"1669233778","recipient_id":"49"},
                {"id":"wamid.2","status":"failed","timestamp":"1669233779","errors":[
                    {"code":131026,"title":"Message undeliverable","error_data":{"details":"No such number"}}]},
                {"id":"wamid.3","status":"played","timestamp":"1669233780"},
                {"id":"wamid.4","status":"read","timestamp":"yesterday"}]}},
            {"field":"messages","value":{"messages":[{"from":"49","text":{"body":"Hi"}}]}}]},
            {"id":"2"}]}"#;
        let report = |id: &str, status, error: Option<&str>, second| ProviderReport {
            provider_id: id.to_owned(),
            status,
            error: error.map(str::to_owned),
            at: Timestamp::from_second(second).unwrap(),
        };
        let wanted = [
            report("wamid.1", ProviderStatus::Delivered, None, 1_669_233_778),
            report("wamid.2", ProviderStatus::Failed, Some("131026 No such number"), 1_669_233_779),
        ];
        assert_eq!(read(body.as_bytes()).unwrap(), wanted);
        assert_eq!(read(br#"{"object":"page","entry":[]}"#).unwrap(), []);
        for bad in ["", "[]", "{}", r#"{"entry":7}"#] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
