//! `smtp.*`, `whatsapp.*`, `sms.*`, `vapid.*`, `retry.*`: the external channels.
//!
//! A channel is on if its settings are present; some of them without the others are an error.

use std::path::PathBuf;

use bellpull_domain::preference::is_timezone;
use bellpull_domain::retry::RetryRule;
use bellpull_domain::routing::{Channel, Channels};

use super::Secret;
use super::load::{ConfigError, Values, error};
use crate::outside::Outside;
use crate::vapid::Vapid;

/// The delivery channels.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// `retry.*`: when a delivery is retried.
    pub retry: RetryRule,
    /// `delivery.in_flight`: a channel's concurrent attempts (16).
    pub in_flight: u32,
    /// `smtp.*`, if e-mail is on.
    pub smtp: Option<SmtpConfig>,
    /// `whatsapp.*`, if WhatsApp is on.
    pub whatsapp: Option<WhatsAppConfig>,
    /// `sms.*`, if SMS is on.
    pub sms: Option<SmsConfig>,
    /// `vapid.*`, if web push is on.
    pub push: Option<PushConfig>,
    /// `webhook.allow_private`: which addresses users may name.
    pub outside: Outside,
    /// `digest.timezone`: of users who have none of their own; `None`: UTC.
    pub digest_timezone: Option<String>,
}

/// `smtp.*`
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// `smtp.url`: the server, with its password.
    pub url: Secret,
    /// `smtp.from`: `Desk <desk@example.com>`.
    pub from: String,
    /// `smtp.hello`: the hub's name in `EHLO`.
    pub hello: Option<String>,
    /// `smtp.ca_file`: an additional certificate authority.
    pub ca_file: Option<PathBuf>,
    /// `smtp.per_s`: e-mails per second; 0 means no limit.
    pub per_s: u32,
}

/// `whatsapp.*`
#[derive(Debug, Clone)]
pub struct WhatsAppConfig {
    /// `whatsapp.token`
    pub token: Secret,
    /// `whatsapp.phone_number_id`
    pub phone_number_id: String,
    /// `whatsapp.api_url`: without a trailing slash.
    pub api_url: String,
    /// `whatsapp.app_secret`: without it status reports are refused.
    pub app_secret: Option<Secret>,
    /// `whatsapp.verify_token`: without it the provider's verification is refused.
    pub verify_token: Option<Secret>,
    /// `whatsapp.template`; `None` for text messages.
    pub template: Option<String>,
    /// `whatsapp.template_language`
    pub template_language: String,
    /// `whatsapp.per_s`: messages per second; 0 means no limit.
    pub per_s: u32,
}

/// `sms.*`
#[derive(Debug, Clone)]
pub struct SmsConfig {
    /// `sms.api_url`: without a trailing slash.
    pub api_url: String,
    /// `sms.account`
    pub account: String,
    /// `sms.token`
    pub token: Secret,
    /// `sms.from`
    pub from: String,
    /// `sms.per_s`: messages per second; 0 means no limit.
    pub per_s: u32,
}

/// `vapid.*`
#[derive(Debug, Clone)]
pub struct PushConfig {
    /// `vapid.private_key` and `vapid.subject`.
    pub vapid: Vapid,
    /// `vapid.per_s`: pushes per second; 0 means no limit.
    pub per_s: u32,
}

impl DeliveryConfig {
    /// The channels that are on.
    #[must_use]
    pub fn channels(&self) -> Channels {
        Channel::ALL.into_iter().filter(|channel| self.is_on(*channel)).collect()
    }

    fn is_on(&self, channel: Channel) -> bool {
        match channel {
            Channel::System => false,
            Channel::Email => self.smtp.is_some(),
            Channel::WhatsApp => self.whatsapp.is_some(),
            Channel::Sms => self.sms.is_some(),
            Channel::Push => self.push.is_some(),
            // Webhooks need no settings: only users who create one are affected.
            Channel::Webhook => true,
        }
    }

    pub(super) fn build(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            retry: RetryRule {
                base_ms: values.number("retry.base_ms")?,
                attempts: values.number("retry.attempts")?,
            },
            in_flight: values.number("delivery.in_flight")?,
            smtp: smtp(values)?,
            whatsapp: whatsapp(values)?,
            sms: sms(values)?,
            push: push(values)?,
            outside: match values.switch("webhook.allow_private")? {
                true => Outside::Any,
                false => Outside::Public,
            },
            digest_timezone: digest_timezone(values)?,
        })
    }
}

fn digest_timezone(values: &Values) -> Result<Option<String>, ConfigError> {
    let name = values.text("digest.timezone");
    match name.as_deref().is_none_or(is_timezone) {
        true => Ok(name),
        false => Err(error("digest.timezone", "is no time zone such as Europe/Berlin".to_owned())),
    }
}

/// The values of settings that belong together: all of them, or none.
fn together<const N: usize>(
    values: &Values,
    keys: [&str; N],
) -> Result<Option<[String; N]>, ConfigError> {
    let Some(set) = keys.iter().find(|key| values.text(key).is_some()) else { return Ok(None) };
    let mut texts = [const { String::new() }; N];
    for (text, key) in texts.iter_mut().zip(keys) {
        let missing = || error(key, format!("must be set together with {set}"));
        *text = values.text(key).ok_or_else(missing)?;
    }
    Ok(Some(texts))
}

fn smtp(values: &Values) -> Result<Option<SmtpConfig>, ConfigError> {
    let Some([url, from]) = together(values, ["smtp.url", "smtp.from"])? else { return Ok(None) };
    Ok(Some(SmtpConfig {
        url: Secret::new(url),
        from,
        hello: values.text("smtp.hello"),
        ca_file: values.text("smtp.ca_file").map(PathBuf::from),
        per_s: values.number("smtp.per_s")?,
    }))
}

fn whatsapp(values: &Values) -> Result<Option<WhatsAppConfig>, ConfigError> {
    let keys = ["whatsapp.token", "whatsapp.phone_number_id"];
    let Some([token, phone_number_id]) = together(values, keys)? else { return Ok(None) };
    Ok(Some(WhatsAppConfig {
        token: Secret::new(token),
        phone_number_id,
        api_url: values.must_text("whatsapp.api_url")?,
        app_secret: values.text("whatsapp.app_secret").map(Secret::new),
        verify_token: values.text("whatsapp.verify_token").map(Secret::new),
        template: values.text("whatsapp.template"),
        template_language: values.must_text("whatsapp.template_language")?,
        per_s: values.number("whatsapp.per_s")?,
    }))
}

fn sms(values: &Values) -> Result<Option<SmsConfig>, ConfigError> {
    let keys = ["sms.account", "sms.token", "sms.from"];
    let Some([account, token, from]) = together(values, keys)? else { return Ok(None) };
    let (token, api_url) = (Secret::new(token), values.must_text("sms.api_url")?);
    Ok(Some(SmsConfig { api_url, account, token, from, per_s: values.number("sms.per_s")? }))
}

fn push(values: &Values) -> Result<Option<PushConfig>, ConfigError> {
    let keys = ["vapid.private_key", "vapid.subject"];
    let Some([key, subject]) = together(values, keys)? else { return Ok(None) };
    // Push services require a contact address.
    if !["mailto:", "https://"].iter().any(|begin| subject.starts_with(begin)) {
        return Err(error("vapid.subject", "must begin with mailto: or https://".to_owned()));
    }
    let vapid = Vapid::new(&key, &subject);
    let vapid = vapid.map_err(|bad| error("vapid.private_key", bad.to_string()))?;
    Ok(Some(PushConfig { vapid, per_s: values.number("vapid.per_s")? }))
}
