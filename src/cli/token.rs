//! `token`: an access token for an account, or a service token for a back end, signed with the
//! hub's secret.

use std::time::Duration;

use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;
use bellpull_port::accounts::LoginName;
use bellpull_port::clock::SystemClock;
use bellpull_port::{AccountStore, Clock};
use jiff::Timestamp;

use super::{CliError, SettingFlags, open_existing_store, print_line};
use bellpull_auth::is_service_name;
use bellpull_auth::issue::{Issuer, hub_secret};
use bellpull_config::Config;

const EXAMPLES: &str = "\
Examples:
  bellpull token --user ada
  bellpull token --service billing --ttl 600
  curl -H \"Authorization: Bearer $(bellpull token --user ada --ttl 60)\" \\
      http://127.0.0.1:8000/api/auth/me/";

/// The options of `token`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    owner: Owner,
    /// The token's lifetime, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600,
          allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    ttl: u32,
    #[command(flatten)]
    settings: SettingFlags<false>,
}

/// Whom the token is for.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Owner {
    /// A username, or (if no user has that name) an id
    #[arg(long, value_name = "NAME|ID")]
    user: Option<String>,
    /// The name of a back end, which may do all that a super admin may, and has no inbox:
    /// 1 to 80 letters, digits, dots, hyphens and underscores. Its Idempotency-Keys are its
    /// own. The token lives for auth.service_ttl_s at most
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

/// Prints the token.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = args.settings.load()?;
    let issuer = issuer(&config)?;
    if let Some(service) = &args.owner.service {
        check_service(&config, service, args.ttl)?;
    }
    let store = open_existing_store(&config).await?;
    let signed = sign(issuer, &*store, &args.owner, args.ttl).await;
    store.close().await;
    print_line(&signed?)
}

fn check_service(config: &Config, name: &str, ttl_s: u32) -> Result<(), CliError> {
    if !is_service_name(name) {
        let what = "1 to 80 letters, digits, dots, hyphens and underscores";
        return Err(CliError::wrong(format!("--service: must be {what}")));
    }
    let max = config.auth.service_ttl_s;
    if ttl_s > max {
        let text = format!("--ttl: a service token lives for {max} s at most (auth.service_ttl_s)");
        return Err(CliError::wrong(text));
    }
    Ok(())
}

async fn sign(
    config: &Config,
    store: &dyn AccountStore,
    owner: &Owner,
    ttl_s: u32,
) -> Result<String, CliError> {
    let user = match &owner.user {
        Some(name) => Some(find(store, name).await?),
        None => None,
    };
    let now = SystemClock.now();
    let expires_at =
        now.checked_add(Duration::from_secs(u64::from(ttl_s))).unwrap_or(Timestamp::MAX);
    let secret = hub_secret(config, store).await?;
    let issuer = Issuer::new(&secret).named(config.auth.issuer.as_deref());
    let service = owner.service.as_deref().unwrap_or_default();
    Ok(match user {
        Some(user) => issuer.access(&user, None, now, expires_at)?,
        None => issuer.back_end(service, now, expires_at)?,
    })
}

/// The settings, if they allow us to sign tokens.
pub(super) fn issuer(config: &Config) -> Result<&Config, CliError> {
    let setting = match (&config.auth.public_key_file, &config.auth.jwks_file) {
        (Some(_), _) => "auth.public_key_file",
        (None, Some(_)) => "auth.jwks_file",
        (None, None) => return Ok(config),
    };
    let why = "is set, so tokens are issued elsewhere: the hub would take none of ours";
    Err(CliError::wrong(format!("{setting}: {why}")))
}

/// The active account with that username or id. The username first: a name may consist of digits,
/// and registering one must not give access to the token of the user with that id.
pub(super) async fn find(store: &dyn AccountStore, name: &str) -> Result<User, CliError> {
    let by_name = store.credentials(&LoginName::Username(name.to_owned())).await?;
    let user = match (by_name, name.parse::<i64>()) {
        (Some((user, _)), _) => Some(user),
        (None, Ok(id)) => store.user(UserId(id)).await?,
        (None, Err(_)) => None,
    };
    match user {
        Some(user) if user.is_active => Ok(user),
        Some(user) => Err(CliError::failed(format!("--user: {} is not active", user.username))),
        None => Err(CliError::failed(format!("--user: there is no user {}", name.escape_debug()))),
    }
}
