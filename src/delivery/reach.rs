//! Whether providers can be reached and accept our credentials: what `check` asks before the first
//! message.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{Address, Message};
use reqwest::Url;

use super::email::{EmailSetup, way};
use super::mail_limits::StepLimits;
use super::mail_server::MailServer;
use super::provider::{Provider, under};
use super::said;
use bellpull_config::delivery::{SmsConfig, SmtpConfig, WhatsAppConfig};

/// How long an operator waits for each step of a provider that does not answer. A channel waits
/// longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Logs in at the mail server, and sends a mail to an address if there is one.
///
/// # Errors
/// Why not, in one line.
pub async fn mail(config: &SmtpConfig, to: Option<&str>) -> Result<String, String> {
    let setup = |error: EmailSetup| error.to_string();
    let way = way(config).map_err(setup)?;
    let host = way.host.clone();
    let server = MailServer::new(way, 0, StepLimits::all(PATIENCE));
    let failed = |failure: super::mail_turns::Failure| said(&failure.to_string());
    let Some(to) = to else {
        server.reach().await.map_err(failed)?;
        return Ok(format!("{host} lets us in"));
    };
    let address = to.parse::<Address>().map_err(|_| format!("{to} is no e-mail address"))?;
    let from: Mailbox = config.from.parse().map_err(|_| setup(EmailSetup::From))?;
    let message = Message::builder()
        .from(from)
        .to(Mailbox::new(None, address))
        .subject("Bellpull can send e-mail")
        .body("`bellpull check` has sent this mail.\n".to_owned())
        .map_err(|error| error.to_string())?;
    let answer = server.send(&message).await.map_err(failed)?;
    Ok(format!("{host} has taken a mail to {to}: {}", said(&answer.text())))
}

/// Asks the Cloud API for our number.
///
/// # Errors
/// Why not, in one line.
pub async fn whatsapp(config: &WhatsAppConfig) -> Result<String, String> {
    let url = under(base(&config.api_url)?, &[&config.phone_number_id]);
    let provider = Provider::new(PATIENCE).map_err(|error| error.to_string())?;
    ask(&provider, provider.get_from(url).bearer_auth(config.token.reveal())).await
}

/// Asks for our account.
///
/// # Errors
/// Why not, in one line.
pub async fn sms(config: &SmsConfig) -> Result<String, String> {
    let account = format!("{}.json", config.account);
    let url = under(base(&config.api_url)?, &["Accounts", &account]);
    let provider = Provider::new(PATIENCE).map_err(|error| error.to_string())?;
    let request = provider.get_from(url).basic_auth(&config.account, Some(config.token.reveal()));
    ask(&provider, request).await
}

fn base(url: &str) -> Result<Url, String> {
    url.parse().map_err(|_| "is no URL".to_owned())
}

async fn ask(provider: &Provider, request: reqwest::RequestBuilder) -> Result<String, String> {
    match provider.knock(request).await {
        Ok(answer) if answer.status.is_success() => Ok("the provider knows us".to_owned()),
        Ok(answer) => Err(format!("HTTP {}", answer.status.as_u16())),
        Err(outcome) => Err(outcome.detail().unwrap_or("no answer").to_owned()),
    }
}
