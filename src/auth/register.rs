//! Registration: valid names, and who is notified of a new account.

use bellpull_domain::channel;
use bellpull_domain::confusable::normal_name;
use bellpull_domain::event::Event;
use bellpull_domain::notification::{Announcement, Message};
use bellpull_domain::routing::{Audience, Group};
use bellpull_domain::text::line;
use bellpull_domain::ticket::Priority;
use bellpull_domain::user::User;
use serde_json::{Map, Value};

use super::password::PASSWORD_BYTES_MAX;
use super::{AuthError, Registration};

/// As in the frameworks that existing accounts come from.
pub(super) const USERNAME_CHARS_MAX: usize = 150;
/// As in the frameworks that existing accounts come from.
pub const FULL_NAME_CHARS_MAX: usize = 255;
/// As in the frameworks that existing accounts come from.
const PASSWORD_CHARS_MIN: usize = 8;

/// The characters of a username besides letters and digits.
pub(super) const SIGNS: &str = "@.+-_";

const BLANK: &str = "This field may not be blank.";

/// The registration without white space around its names, if it is valid.
pub(super) fn check(mut new: Registration) -> Result<Registration, AuthError> {
    for field in [&mut new.username, &mut new.email, &mut new.full_name] {
        *field = field.trim().to_owned();
    }
    new.username = normal_name(&new.username);
    let invalid = |field| move |problem| AuthError::Invalid(field, problem);
    check_username(&new.username).map_err(invalid("username"))?;
    check_email(&new.email).map_err(invalid("email"))?;
    check_password(&new.password).map_err(invalid("password"))?;
    check_full_name(&new.full_name).map_err(invalid("full_name"))?;
    if !new.role.is_self_assignable() {
        return Err(AuthError::Invalid("role", format!("\"{}\" may not be chosen.", new.role)));
    }
    Ok(new)
}

/// Validates a username.
///
/// # Errors
/// What is wrong with it, as a text for users.
pub fn check_username(username: &str) -> Result<(), String> {
    if username.is_empty() {
        return Err(BLANK.to_owned());
    }
    if username.chars().count() > USERNAME_CHARS_MAX {
        return Err(format!("Ensure this field has no more than {USERNAME_CHARS_MAX} characters."));
    }
    if !username.chars().all(|c| c.is_alphanumeric() || SIGNS.contains(c)) {
        return Err("Enter a valid username. This value may contain only letters, numbers, and \
                    @/./+/-/_ characters."
            .to_owned());
    }
    if username.ends_with(|c: char| SIGNS.contains(c)) {
        return Err("A username may not end with @, ., +, - or _: in a comment such a character \
                    ends the sentence, not the name."
            .to_owned());
    }
    Ok(())
}

/// Validates the form of an e-mail address; whether it exists only a mail to it can tell.
///
/// # Errors
/// What is wrong with it, as a text for users.
pub fn check_email(email: &str) -> Result<(), String> {
    if email.is_empty() {
        return Err(BLANK.to_owned());
    }
    channel::check_email(email).map_err(str::to_owned)
}

/// Validates a password.
///
/// # Errors
/// What is wrong with it, as a text for users.
pub fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(format!(
            "This password is too short. It must contain at least {PASSWORD_CHARS_MIN} characters."
        ));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!(
            "This password is too long. It must contain at most {PASSWORD_BYTES_MAX} bytes."
        ));
    }
    Ok(())
}

/// Validates a full name, which may be empty.
///
/// # Errors
/// What is wrong with it, as a text for users.
pub fn check_full_name(full_name: &str) -> Result<(), String> {
    if full_name.chars().count() > FULL_NAME_CHARS_MAX {
        return Err(format!(
            "Ensure this field has no more than {FULL_NAME_CHARS_MAX} characters."
        ));
    }
    line(full_name).map(drop).map_err(|bad| bad.to_string())
}

/// The error for a name that is taken.
pub(super) fn taken(field: &'static str) -> AuthError {
    let what = if field == "email" { "email" } else { "username" };
    AuthError::Invalid(what, format!("A user with that {what} already exists."))
}

/// The error for a full name that looks like an admin's.
pub const ADMINS_NAME: &str = "This name looks like an admin's.";

/// The error for a name or an address that looks like one that is taken.
pub(super) fn too_similar(field: &'static str) -> AuthError {
    if field == "full_name" {
        return AuthError::Invalid(field, ADMINS_NAME.to_owned());
    }
    let what = if field == "email" { "email" } else { "username" };
    AuthError::Invalid(what, format!("This {what} looks like another user's."))
}

/// Every super admin is notified of a registration.
pub(super) fn announcement(user: &User) -> Announcement {
    let event = Event::UserRegistration;
    let who = user.display_name();
    let metadata: Map<String, Value> = [
        ("user_id", Value::from(user.id.0)),
        ("user_email", Value::from(user.email())),
        ("user_full_name", Value::from(who)),
        ("user_role", Value::from(user.role.as_str())),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    Announcement {
        channels: event.channels(),
        audience: Audience {
            group: Some(Group::SuperAdmins),
            users: Vec::new(),
            except: Some(user.id),
        },
        message: Message {
            kind: event.kind(),
            title: event.title().to_owned(),
            body: format!("A new {} has registered: {who} ({})", user.role.display(), user.email()),
            action_url: format!("/admin/accounts/customuser/{}/change/", user.id),
            metadata,
            ticket: None,
            sender: Some(user.id),
            priority: Priority::Medium,
            created_at: user.created_at,
            event,
        },
    }
}
