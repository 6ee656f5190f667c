//! The fields of accounts, with their limits: registration, the list of users, the caller's
//! profile and the pages of passwords share them.

use bellpull_domain::address::AddressChanges;
use bellpull_domain::channel::Channel;
use bellpull_domain::confusable::normal_name;
use bellpull_domain::user::Role;

use super::fields::{Fields, TextRule};
use bellpull_auth::register::{FULL_NAME_CHARS_MAX, check_username};

/// The longest e-mail address (RFC 5321, 4.5.3.1.3).
pub(super) const EMAIL_MAX: usize = 254;

/// The limit of Django's user model, which the clients' forms are made for.
pub(super) const USERNAME_MAX: usize = 150;
pub(super) const PASSWORD_MAX: usize = 1_024;

/// The field `username` of an account that is made or renamed, in the form that accounts have.
pub(super) fn username(body: &mut Fields) -> String {
    let name = normal_name(&body.text("username", TextRule::line(USERNAME_MAX)));
    // A missing one has been refused already.
    if !name.is_empty()
        && let Err(problem) = check_username(&name)
    {
        body.refuse("username", problem);
    }
    name
}

/// The field `full_name`, if present.
pub(super) fn full_name(body: &mut Fields) -> Option<String> {
    body.text_if_sent("full_name", TextRule::line(FULL_NAME_CHARS_MAX).or_blank())
}

/// The field `role`, if present.
pub(super) fn role(body: &mut Fields) -> Option<Role> {
    // Longer than any role may be: the role's own error text then states the limit.
    let slug = body.text_if_sent("role", TextRule::line(USERNAME_MAX))?;
    Role::to_give(&slug).map_err(|refused| body.refuse("role", refused.to_string())).ok()
}

/// The addresses that the body changes; an empty one is removed.
pub(super) fn addresses(body: &mut Fields) -> AddressChanges {
    let mut changes = AddressChanges::default();
    for (channel, field) in Channel::address_fields() {
        let rule = TextRule::line(field.chars_max).or_blank();
        let Some(address) = body.text_if_sent(field.name, rule) else { continue };
        if !address.is_empty()
            && let Err(problem) = (field.check)(&address)
        {
            body.refuse(field.name, problem);
        }
        changes.set(channel, address);
    }
    changes
}
