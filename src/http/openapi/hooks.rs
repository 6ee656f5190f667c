//! What providers and e-mails' links call, as the document has it.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, ToSchema};

/// How a provider proves that it is asked for by this hub's operator.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Verification {
    /// `subscribe`.
    #[param(rename = "hub.mode")]
    mode: String,
    /// `whatsapp.verify_token`.
    #[param(rename = "hub.verify_token")]
    verify_token: String,
    /// What is answered.
    #[param(rename = "hub.challenge")]
    challenge: Option<String>,
}

/// Which e-mails, and whose.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct UnsubscribeToken {
    /// As it stands in an e-mail's link.
    token: String,
}

/// Who calls.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct Signature {
    /// `sha256=` and the HMAC of the body's bytes with `whatsapp.app_secret`, in hex.
    #[param(rename = "X-Hub-Signature-256")]
    signature: Option<String>,
}

/// What was taken of a report.
#[derive(ToSchema)]
pub(in crate::http) struct Taken {
    /// Of how many of the messages this hub knows.
    known: u32,
}

/// What Twilio says of an SMS; further fields are passed over.
#[derive(ToSchema)]
#[schema(rename_all = "PascalCase")]
pub(in crate::http) struct SmsReport {
    message_sid: String,
    /// `sent`, `delivered`, `undelivered`, `failed` and others.
    message_status: String,
    error_code: Option<String>,
}

/// Who calls.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::http) struct SmsSignature {
    /// The HMAC-SHA1 of this hub's own address for it and all fields with `sms.token`, in base64.
    #[param(rename = "X-Twilio-Signature")]
    signature: Option<String>,
}
