//! OpenAPI schemas: callbacks of providers, and links in e-mails.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, ToSchema};

/// WhatsApp's verification of the address.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Verification {
    /// `subscribe`.
    #[param(rename = "hub.mode")]
    mode: String,
    /// `whatsapp.verify_token`.
    #[param(rename = "hub.verify_token")]
    verify_token: String,
    /// Returned in the answer.
    #[param(rename = "hub.challenge")]
    challenge: Option<String>,
}

/// The e-mails to unsubscribe from, and the user.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UnsubscribeToken {
    /// From the link in an e-mail.
    token: String,
}

/// The caller's signature.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Signature {
    /// `sha256=` and the HMAC of the body's bytes with `whatsapp.app_secret`, in hex.
    #[param(rename = "X-Hub-Signature-256")]
    signature: Option<String>,
}

/// Twilio's report on an SMS; further fields are ignored.
#[derive(ToSchema)]
#[schema(rename_all = "PascalCase")]
pub(crate) struct SmsReport {
    message_sid: String,
    /// `sent`, `delivered`, `undelivered`, `failed` and others.
    message_status: String,
    error_code: Option<String>,
}

/// The caller's signature.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct SmsSignature {
    /// The HMAC-SHA1 over this hub's URL for reports and all fields with `sms.token`, in base64.
    #[param(rename = "X-Twilio-Signature")]
    signature: Option<String>,
}
