//! The users of a run and their credentials.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::LoadError;
use super::pipe::LoadUser;

/// Tokens live longer than any run.
const TTL_S: u64 = 24 * 3600;
/// The role of those who only listen: a name that is not the hub's own has a client's rights.
pub const LISTENER: &str = "student";

/// How users authenticate at a running server.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Anonymous,
    /// With tokens that we sign, for this range of user ids.
    Signed {
        /// Signs them.
        secret: String,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// With tokens from a file.
    Tokens {
        /// One per user.
        tokens: Vec<String>,
        /// The sender, if it is not one of them.
        sender: Option<String>,
    },
}

// Without secrets.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Signed { .. } => "Signed",
            Self::Tokens { .. } => "Tokens",
        })
    }
}

/// How many listeners there are of each role, and whether there is a separate sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// In this order.
    pub groups: Vec<(&'static str, usize)>,
    /// An additional admin who does not listen.
    pub has_sender: bool,
}

impl Roster {
    /// The number of listeners.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.groups.iter().map(|(_, count)| count).sum()
    }

    /// The role of each listener.
    pub fn roles(&self) -> impl Iterator<Item = &'static str> {
        self.groups.iter().flat_map(|(role, count)| std::iter::repeat_n(*role, *count))
    }
}

/// The users of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Participants {
    /// In the roster's order.
    pub listeners: Vec<LoadUser>,
    /// The sender.
    pub sender: Option<LoadUser>,
}

impl Login {
    /// The users of a roster.
    ///
    /// # Errors
    /// There are too few.
    pub fn participants(&self, roster: &Roster) -> Result<Participants, LoadError> {
        let wanted = roster.listeners();
        match self {
            Self::Anonymous => {
                let anonymous = |n| LoadUser { id: format!("{n}"), token: String::new() };
                Ok(Participants { listeners: (1..=wanted).map(anonymous).collect(), sender: None })
            }
            Self::Signed { secret, from, to } => {
                let ids: Vec<u64> = (*from..=*to).take(wanted).collect();
                if ids.len() < wanted {
                    return Err(LoadError::Wrong(format!(
                        "--users: {from}..{to} are fewer than the {wanted} that are needed"
                    )));
                }
                let signed = ids.into_iter().zip(roster.roles());
                let signed = signed.map(|(id, role)| load_user(secret, id, role));
                let listeners = signed.collect::<Result<_, _>>()?;
                let sender = load_user(secret, to.saturating_add(1), "admin")?;
                Ok(Participants { listeners, sender: Some(sender) })
            }
            Self::Tokens { tokens, sender } => {
                if tokens.len() < wanted {
                    return Err(LoadError::Wrong(format!(
                        "--tokens: {} tokens are fewer than the {wanted} that are needed",
                        tokens.len()
                    )));
                }
                let named = |token: &String| LoadUser { id: user(token), token: token.clone() };
                let listeners = tokens.iter().take(wanted).map(named).collect();
                Ok(Participants { listeners, sender: sender.as_ref().map(named) })
            }
        }
    }
}

/// A user with a token that is valid for a day.
///
/// # Errors
/// It cannot be signed.
pub fn load_user(secret: &str, id: u64, role: &str) -> Result<LoadUser, LoadError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({
        "user_id": id, "token_type": "access", "exp": now + TTL_S,
        "username": format!("load{id}"), "role": role,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)
        .map_err(|error| LoadError::Failed(format!("--jwt-secret: {error}")))?;
    Ok(LoadUser { id: id.to_string(), token })
}

/// The user that a token names, if it can be read.
fn user(token: &str) -> String {
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(claims) = claims else { return String::new() };
    match claims.get("user_id").or_else(|| claims.get("sub")) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(count: usize) -> Roster {
        Roster { groups: vec![("admin", 1), (LISTENER, count - 1)], has_sender: true }
    }

    #[test]
    fn signed_users_have_ids_roles_and_a_separate_sender() {
        let login = Login::Signed { secret: "x".repeat(32), from: 5, to: 9 };
        let participants = login.participants(&roster(3)).unwrap();
        let ids: Vec<&str> = participants.listeners.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["5", "6", "7"]);
        assert_eq!(user(&participants.listeners[2].token), "7");
        assert_eq!(participants.sender.unwrap().id, "10");
        let error = login.participants(&roster(6)).unwrap_err().to_string();
        assert!(error.starts_with("--users: 5..9 "), "{error}");
        assert!(!format!("{login:?}").contains("xxx"));
    }

    #[test]
    fn given_tokens_name_their_users() {
        let tokens: Vec<String> =
            (1..=3).map(|id| load_user("secret", id, "client").unwrap().token).collect();
        let login = Login::Tokens { tokens, sender: Some("opaque".to_owned()) };
        let participants = login.participants(&roster(3)).unwrap();
        assert_eq!(participants.listeners[1].id, "2");
        assert_eq!(
            participants.sender.unwrap(),
            LoadUser { id: String::new(), token: "opaque".into() }
        );
        assert!(
            login.participants(&roster(4)).unwrap_err().to_string().starts_with("--tokens: 3 ")
        );
        assert_eq!(Login::Anonymous.participants(&roster(2)).unwrap().listeners.len(), 2);
    }
}
