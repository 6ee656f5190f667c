//! The fuzzers' harness of providers' reports and of the links in mails: nothing unsigned counts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellpull_domain::account_link::LinkPurpose;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::Sha256;

use super::account_link::AccountLinks;
use super::link::Links;
use super::reports::{self, Reports};
use super::sms_reports::{self, SmsReports};
pub use super::template::fuzz::templates;
use bellpull_config::Secret;
use bellpull_config::delivery::{SmsConfig, WhatsAppConfig};

const SECRET: &str = "a secret that no fuzzer guesses";
const HOST: &str = "https://desk.example";

/// A report: one line is the signature's header, the rest the body.
pub fn hooks(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else { return };
    let mut lines = rest.splitn(2, |byte| *byte == b'\n');
    let [signature, body] = [lines.next(), lines.next()].map(Option::unwrap_or_default);
    let Ok(signature) = std::str::from_utf8(signature) else { return };
    match what % 3 {
        0 => whatsapp(signature, body),
        1 => sms(signature, body),
        _ => links(signature),
    }
}

fn secret() -> Secret {
    Secret::new(SECRET.to_owned())
}

fn whatsapp(signature: &str, body: &[u8]) {
    let reports = Reports::new(Some(&WhatsAppConfig {
        token: secret(),
        phone_number_id: String::new(),
        api_url: String::new(),
        app_secret: Some(secret()),
        verify_token: Some(secret()),
        template: None,
        template_language: String::new(),
        per_s: 0,
    }));
    assert!(!reports.is_signed(body, signature) && !reports.is_verified(signature));
    assert!(!Reports::default().is_signed(body, signature), "no secret, no reports");
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let good = mac.chain_update(body).finalize().into_bytes();
    let good: String = good.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(reports.is_signed(body, &format!("sha256={good}")));
    assert!(!reports.is_signed(&[body, b" "].concat(), &format!("sha256={good}")));
    assert!(!reports.is_signed(body, &format!("sha256={}", &good[..62])));
    match reports::read(body) {
        Ok(all) => {
            assert!(all.len() <= body.len() / 20, "{} reports", all.len());
            for report in all {
                assert!(report.provider_id.len() <= body.len());
                assert!(report.error.is_none_or(|error| is_line(&error)));
            }
        }
        Err(error) => assert!(error.to_string().len() < 512, "{error}"),
    }
}

fn sms(signature: &str, body: &[u8]) {
    let config = SmsConfig {
        api_url: String::new(),
        account: String::new(),
        token: secret(),
        from: String::new(),
        per_s: 0,
    };
    let reports = SmsReports::new(Some(&config), &Links::new(Some(HOST.to_owned()), secret()));
    let form = sms_reports::form(body);
    assert!(!reports.is_signed(&form, signature));
    let mut fields = form.clone();
    fields.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{HOST}/hooks/sms/").as_bytes());
    for (name, value) in &fields {
        mac.update(format!("{name}{value}").as_bytes());
    }
    let good = STANDARD.encode(mac.finalize().into_bytes());
    assert!(reports.is_signed(&form, &good) && reports.is_signed(&fields, &good));
    let more = [fields, vec![("a".to_owned(), "b".to_owned())]].concat();
    assert!(!reports.is_signed(&more, &good));
    if let Some(report) = sms_reports::read(&form, Timestamp::UNIX_EPOCH) {
        assert!(!report.provider_id.is_empty());
        assert!(report.error.is_none_or(|error| is_line(&error)));
    }
}

/// One line, as long as it may be stored.
fn is_line(text: &str) -> bool {
    text.chars().count() <= super::SAID_MAX && !text.contains(char::is_control)
}

fn links(token: &str) {
    let links = Links::new(Some(HOST.to_owned()), secret());
    assert_eq!(links.read_unsubscribe(token), None);
    let accounts = AccountLinks::new(HOST.to_owned(), secret());
    for purpose in [LinkPurpose::Password, LinkPurpose::Email] {
        assert!(accounts.read(purpose, token).is_none(), "{token}");
    }
    if let Some(target) = links.action(token) {
        let is_own = target.starts_with(&format!("{HOST}/"));
        assert!(is_own || target == token, "{target}");
    }
}
