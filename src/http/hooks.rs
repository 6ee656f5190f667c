//! `/hooks/`: callbacks of providers. Providers have no account; each authenticates in its own way.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bellpull_domain::routing::Channel;
use bellpull_port::{Clock, DeliveryStore};
use utoipa_axum::routes;

use super::body::Raw;
use super::error::ApiError;
use super::openapi as doc;
use super::query::Params;
use super::responses as res;
use super::routes::Routes;
use bellpull_delivery::reports::{Reports, SIGNATURE_HEADER, read};
use bellpull_delivery::sms_reports::{self, SmsReports};

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(verify, report)).with(routes!(sms))
}

/// Confirms this address to WhatsApp with the verify token.
#[utoipa::path(
    get, path = "/hooks/whatsapp/", tag = "Hooks", security(()), params(doc::Verification),
    responses(
        (status = 200, description = "The challenge.", body = String, content_type = "text/plain"),
        (status = 403, description = "Another token, or none is set here."),
    )
)]
async fn verify(State(reports): State<Reports>, params: Params) -> Result<Response, ApiError> {
    let is_subscribing = params.text("hub.mode") == Some("subscribe");
    let token = params.text("hub.verify_token").unwrap_or_default();
    if !is_subscribing || !reports.is_verified(token) {
        return Err(ApiError::forbidden());
    }
    let challenge = params.text("hub.challenge").unwrap_or_default().to_owned();
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], challenge).into_response())
}

/// Accepts WhatsApp's status reports: sent, delivered, read or failed. Reports are repeated until
/// they are accepted, and never move a status back.
#[utoipa::path(
    post, path = "/hooks/whatsapp/", tag = "Hooks", security(()), request_body = Object,
    params(doc::Signature),
    responses(
        (status = 200, description = "Taken.", body = res::Taken),
        (status = 403, description = "It is not signed with the app's secret."),
    )
)]
async fn report(
    State(reports): State<Reports>,
    State(store): State<Arc<dyn DeliveryStore>>,
    State(clock): State<Arc<dyn Clock>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<res::Taken>, ApiError> {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    if !reports.is_signed(&body, signature.unwrap_or_default()) {
        return Err(ApiError::forbidden());
    }
    let told = read(&body).map_err(|error| ApiError::Parse(error.to_string()))?;
    let mut known = 0_u32;
    for one in told {
        if store.reported(Channel::WhatsApp, one, clock.now()).await? {
            known += 1;
        }
    }
    // Other systems may send through the same number: their messages are unknown here.
    Ok(Json(res::Taken { known }))
}

/// Accepts Twilio's status reports for an SMS: sent, delivered or failed. A report never moves a
/// status back.
#[utoipa::path(
    post, path = "/hooks/sms/", tag = "Hooks", security(()),
    request_body(content = doc::SmsReport, content_type = "application/x-www-form-urlencoded"),
    params(doc::SmsSignature),
    responses(
        (status = 200, description = "Taken.", body = res::Taken),
        (status = 403, description = "It is not signed with the account's token."),
    )
)]
async fn sms(
    State(reports): State<SmsReports>,
    State(store): State<Arc<dyn DeliveryStore>>,
    State(clock): State<Arc<dyn Clock>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<res::Taken>, ApiError> {
    let signature = headers.get(sms_reports::SIGNATURE_HEADER);
    let signature = signature.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = sms_reports::form(&body);
    if !reports.is_signed(&form, signature) {
        return Err(ApiError::forbidden());
    }
    let now = clock.now();
    let Some(told) = sms_reports::read(&form, now) else {
        return Ok(Json(res::Taken { known: 0 }));
    };
    let is_known = store.reported(Channel::Sms, told, now).await?;
    Ok(Json(res::Taken { known: is_known.into() }))
}
