//! `notify`: notifies one user, through the running hub.

use bellpull_domain::notification::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::running::{Address, HubFlags, RunningHub};
use super::{CliError, print_line};

const EXAMPLES: &str = "\
Examples:
  bellpull notify --user-id 7 --title 'Deploy' --message 'Version 2.1 is live' --link /releases/
  bellpull notify --user-id 7 --title 'Disk' --message '91 % full' --type WARNING
  bellpull notify --user-id 7 --title 'Approved' --message 'By Ada' --type approval | jq .id";

/// The options of `notify`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The recipient's id
    #[arg(long, value_name = "ID", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(1..))]
    user_id: i64,
    /// One line, at most 255 characters
    #[arg(long, allow_hyphen_values = true)]
    title: String,
    /// The text, at most 10,000 characters
    #[arg(long, allow_hyphen_values = true)]
    message: String,
    /// The event's name (1 to 64 characters, your own or one of the hub's, such as
    /// ticket_assigned), or a kind in capitals: INFO, SUCCESS, WARNING, ERROR, COURSE, ENROLLMENT,
    /// SESSION, LIBRARY, SYSTEM or USER_REGISTRATION (the event is then `general`)
    #[arg(long = "type", value_name = "EVENT|KIND", default_value = "general")]
    event_or_kind: String,
    /// The target of a click: relative, or http(s)
    #[arg(long)]
    link: Option<String>,
    #[command(flatten)]
    hub: HubFlags,
}

// Without the token and the text.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// Sends the notification and prints it as the user has it.
///
/// # Errors
/// See [`CliError`].
pub async fn run(args: Args) -> Result<(), CliError> {
    let body = body(&args);
    let mut hub = RunningHub::find(args.hub, Address::Clients).await?;
    let answer = hub.ask(Method::POST, "/api/notifications/", Some(&body)).await?;
    let status = answer.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(hub.refused("an admin's"));
    }
    let text = answer.text().await.map_err(|error| hub.away(&error))?;
    let told: Value = serde_json::from_str(&text).unwrap_or_default();
    match (status, told.get("notification")) {
        (StatusCode::ACCEPTED, Some(notification)) => print_line(&notification.to_string()),
        (StatusCode::ACCEPTED, None) => {
            let id = args.user_id;
            Err(CliError::failed(format!("--user-id: user {id} is not active: nothing was sent")))
        }
        (StatusCode::BAD_REQUEST, _) => Err(refused(&told, args.user_id)),
        (status, _) => Err(CliError::failed(format!("the hub at {} answered {status}", hub.url()))),
    }
}

fn body(args: &Args) -> Value {
    let mut body = json!({
        "recipients": [args.user_id],
        "title": args.title,
        "message": args.message,
    });
    let is_kind = Kind::from_name(&args.event_or_kind).is_some();
    body[if is_kind { "type" } else { "event" }] = args.event_or_kind.as_str().into();
    if let Some(link) = &args.link {
        body["action_url"] = link.as_str().into();
    }
    body
}

/// The hub's error about a field, with the flag that it came from. An unknown user is not wrong
/// usage.
fn refused(told: &Value, user_id: i64) -> CliError {
    let flags = [
        ("title", "--title"),
        ("message", "--message"),
        ("event", "--type"),
        ("type", "--type"),
        ("action_url", "--link"),
    ];
    if told.get("recipients").is_some() {
        return CliError::failed(format!("--user-id: there is no user {user_id}"));
    }
    let wrong = flags.iter().find_map(|(field, flag)| Some((flag, told.get(field)?[0].as_str()?)));
    match wrong {
        Some((flag, text)) => CliError::wrong(format!("{flag}: {text}")),
        None => CliError::failed("the hub refused it, and did not say why".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_refuses_is_told_by_its_flag() {
        let told = json!({"title": ["Too long."], "code": "invalid"});
        assert_eq!(refused(&told, 7), CliError::wrong("--title: Too long."));
        let told = json!({"recipients": ["Invalid pk"], "code": "invalid"});
        assert_eq!(refused(&told, 7), CliError::failed("--user-id: there is no user 7"));
        assert_eq!(refused(&Value::Null, 7).code(), 1);
    }
}
