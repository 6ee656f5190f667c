//! Users: their roles, and the rights of each role.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Addresses;
use super::channel::Channel;
use super::confusable::looks_like_slug;
use super::ids::UserId;
use super::version::Version;

/// A role. Any slug that is not one of ours has a client's rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Role {
    /// Raises tickets, and judges the work on its own.
    Client,
    /// Works on tickets that are assigned to it.
    Developer,
    /// Opens and assigns every ticket.
    Admin,
    /// An admin that may also operate the hub.
    SuperAdmin,
    /// A slug of another system (`student`, `teacher`, …): a client's rights.
    Other(CompactString),
}

/// A role's slug had characters other than `a-z`, `0-9`, `_`, `-`, or not 1 to 32 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A role is 1 to 32 of the characters a-z, 0-9, _ and -.")]
pub struct BadRole;

/// Why an account may not have a role with that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleRefused {
    /// It is not a slug.
    #[error(transparent)]
    NotASlug(#[from] BadRole),
    /// It is confusable with one that has rights.
    #[error("\"{given}\" looks like the built-in role \"{built_in}\": choose another name.")]
    LooksBuiltIn {
        /// The requested name.
        given: String,
        /// The role that it resembles.
        built_in: Role,
    },
}

impl Role {
    /// The built-in roles.
    pub const BUILT_IN: [Self; 4] = [Self::Client, Self::Developer, Self::Admin, Self::SuperAdmin];

    /// A role for an account. Rows and tokens are parsed with [`Role::from_str`], which accepts
    /// every slug; a newly assigned role must not look like a built-in one that it is not.
    ///
    /// # Errors
    /// See [`RoleRefused`].
    pub fn to_give(slug: &str) -> Result<Self, RoleRefused> {
        let role: Self = slug.parse()?;
        let is_like = |built_in: &Self| looks_like_slug(slug, built_in.as_str());
        match (&role, Self::BUILT_IN.into_iter().find(is_like)) {
            (Self::Other(_), Some(built_in)) => {
                Err(RoleRefused::LooksBuiltIn { given: slug.to_owned(), built_in })
            }
            _ => Ok(role),
        }
    }

    /// The role's name in tokens, rows and JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Client => "client",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::SuperAdmin => "super_admin",
            Self::Other(slug) => slug,
        }
    }

    /// The role's label: `Super Admin`, `Student`.
    #[must_use]
    pub fn display(&self) -> String {
        let words = self.as_str().split(['_', '-']).filter(|word| !word.is_empty());
        let capital = |word: &str| {
            let mut contents = word.chars();
            contents.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(contents).collect::<String>()
            })
        };
        words.map(capital).collect::<Vec<_>>().join(" ")
    }

    /// Whether the role has an admin's rights (a super admin's include them).
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::Admin | Self::SuperAdmin)
    }

    /// How far its rights reach: each rank has those of the ranks below.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Client | Self::Other(_) => 0,
            Self::Developer => 1,
            Self::Admin => 2,
            Self::SuperAdmin => 3,
        }
    }

    /// Whether users may choose this role when they register.
    #[must_use]
    pub fn is_self_assignable(&self) -> bool {
        matches!(self, Self::Client | Self::Other(_))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(slug: &str) -> Result<Self, BadRole> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-".contains(&c);
        if slug.is_empty() || slug.len() > 32 || !slug.bytes().all(allowed) {
            return Err(BadRole);
        }
        Ok(match slug {
            "client" => Self::Client,
            "developer" => Self::Developer,
            "admin" => Self::Admin,
            "super_admin" => Self::SuperAdmin,
            other => Self::Other(other.into()),
        })
    }
}

impl TryFrom<String> for Role {
    type Error = BadRole;

    fn try_from(slug: String) -> Result<Self, BadRole> {
        slug.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.as_str().to_owned()
    }
}

/// The first number that the hub gives itself where tokens come from another issuer, whose numbers
/// are below. Half of what a JSON number bears (2^53 - 1, the limit of every client) remains.
pub const APART_FROM: i64 = 1 << 52;

/// Who gave an account its number, and so whose tokens open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The hub: a registration, an operator or an admin.
    Hub,
    /// The issuer of tokens that are not the hub's, or a back end.
    Issuer {
        /// When the token was issued whose claims the account has; the epoch if none were applied.
        claims_at: Timestamp,
    },
}

impl Origin {
    /// The issuer, before a token's claims were applied.
    pub const ISSUER: Self = Self::Issuer { claims_at: Timestamp::UNIX_EPOCH };
}

/// An account, without its password. Its texts are nearly always short enough (24 bytes) to be
/// stored inline: there is one account for each connected user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never used for another account.
    pub id: UserId,
    /// Unique, also among confusable names (see [`super::confusable`]); a login names it in any
    /// case and form.
    pub username: CompactString,
    /// May be empty; then the username is shown.
    pub full_name: CompactString,
    /// The user's role.
    pub role: Role,
    /// Where external messages go.
    pub addresses: Addresses,
    /// An inactive account can neither log in nor use a token that it already has.
    pub is_active: bool,
    /// Whether e-mails to [`User::email`] are known to arrive, or an issuer vouches for it.
    pub is_email_verified: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Who gave it its number.
    pub origin: Origin,
    /// When it was last deactivated: tokens of before are refused for good. The epoch if it never
    /// was.
    pub tokens_from: Timestamp,
}

impl User {
    /// The e-mail address, which also logs in; may be empty. Unique if not empty, compared without
    /// regard to case, also among confusable addresses.
    #[must_use]
    pub fn email(&self) -> &str {
        self.addresses.get(Channel::Email)
    }

    /// Whether a token opens the same for both: read at two times, their rights did not change.
    #[must_use]
    pub fn has_rights_of(&self, other: &Self) -> bool {
        (&self.role, self.tokens_from) == (&other.role, other.tokens_from)
    }

    /// Of what its user and admins see and change.
    #[must_use]
    pub fn version(&self) -> Version {
        let flag = |is_set| if is_set { "1" } else { "0" };
        let texts = [self.username.as_str(), &self.full_name, self.role.as_str()];
        let flags = [flag(self.is_active), flag(self.is_email_verified)];
        let addresses = self.addresses.iter().flat_map(|(on, address)| [on.as_str(), address]);
        Version::of_texts(texts.into_iter().chain(flags).chain(addresses))
    }

    /// The full name, or the username if there is none.
    #[must_use]
    pub fn display_name(&self) -> &str {
        if self.full_name.is_empty() { &self.username } else { &self.full_name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_its_slug_and_bad_slugs_are_refused() {
        for slug in ["client", "developer", "admin", "super_admin", "student"] {
            assert_eq!(slug.parse::<Role>().unwrap().as_str(), slug);
        }
        for bad in ["", "Admin", "a b", "ü", &"x".repeat(33)] {
            assert_eq!(bad.parse::<Role>(), Err(BadRole), "{bad}");
        }
        assert_eq!(Role::SuperAdmin.display(), "Super Admin");
        assert_eq!("student".parse::<Role>().unwrap().display(), "Student");
    }

    #[test]
    fn a_role_that_looks_like_a_built_in_one_is_not_given() {
        for good in ["client", "developer", "admin", "super_admin", "student", "administrator"] {
            assert_eq!(Role::to_give(good).unwrap().as_str(), good);
        }
        for (bad, like) in [
            ("super-admin", Role::SuperAdmin),
            ("superadmin", Role::SuperAdmin),
            ("_admin_", Role::Admin),
            ("adm1n", Role::Admin),
            ("admln", Role::Admin),
            ("adrnin", Role::Admin),
            ("deve1oper", Role::Developer),
            ("devel0per", Role::Developer),
            ("c1ient", Role::Client),
        ] {
            let built_in = match Role::to_give(bad).unwrap_err() {
                RoleRefused::LooksBuiltIn { built_in, .. } => built_in,
                other @ RoleRefused::NotASlug(_) => panic!("{bad}: {other}"),
            };
            assert_eq!(built_in, like, "{bad}");
        }
        for bad in ["Admin", "\u{430}dmin", ""] {
            assert_eq!(Role::to_give(bad), Err(BadRole.into()), "{bad}");
        }
    }

    #[test]
    fn only_roles_without_rights_are_self_assignable() {
        let free: Vec<bool> = ["client", "student", "developer", "admin", "super_admin"]
            .map(|slug| slug.parse::<Role>().unwrap().is_self_assignable())
            .to_vec();
        assert_eq!(free, [true, true, false, false, false]);
    }
}
