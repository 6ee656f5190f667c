//! Accounts: which new accounts and changes are not allowed, and what a change implies.

use jiff::Timestamp;

use crate::address::AddressChanges;
use crate::channel::Channel;
use crate::confusable::looks_like_name;
use crate::user::{Origin, Role, User};
use crate::version::Version;

/// The changes of an account; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct UserChanges {
    /// New addresses; links that were mailed to the e-mail address before are void.
    pub addresses: AddressChanges,
    /// Whether the caller vouches for the new e-mail address; ignored without one.
    pub vouches_for_email: bool,
    /// A new username.
    pub username: Option<String>,
    /// A new name.
    pub full_name: Option<String>,
    /// A new role.
    pub role: Option<Role>,
    /// Switched on or off.
    pub is_active: Option<bool>,
    /// A new password's hash.
    pub password_hash: Option<String>,
    /// The role that the account must still have: with another one the caller may have no right to
    /// change it. `None` accepts any role.
    pub seen_role: Option<Role>,
    /// What the caller has seen; `None` accepts any version.
    pub seen: Option<Version>,
    /// The changes are the claims of a token that was issued then (the epoch: it does not say
    /// when); they are refused if the account has those of a younger one.
    pub claims_at: Option<Timestamp>,
    /// An account of the hub's is handed over to the issuer of tokens: its password and its logins
    /// end.
    pub hands_over: bool,
}

impl UserChanges {
    /// The new e-mail address, if there is one.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.addresses.get(Channel::Email)
    }
}

/// Why an account is not made or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRefusal {
    /// Another account has this value; the field's name.
    Taken(&'static str),
    /// Another account's value is confusable with it (see [`crate::confusable`]); the
    /// field's name.
    TooSimilar(&'static str),
    /// The account has another role, or another version, than the caller saw.
    Changed,
    /// The hub would lose its last active super admin.
    LastSuperAdmin,
    /// The account has the claims of a younger token, or takes none: it is the hub's own.
    OlderClaims,
    /// There is no such account.
    NotFound,
}

/// Which values of a new account other accounts have.
#[derive(Debug, Clone, Default)]
pub struct NewAccountFacts {
    /// The username.
    pub has_username: bool,
    /// The address, if it is not empty.
    pub has_email: bool,
    /// The id, if one was named.
    pub has_id: bool,
    /// A username with the same key ([`crate::confusable::username_key`]).
    pub has_username_key: bool,
    /// An address with the same key ([`crate::confusable::email_key`]).
    pub has_email_key: bool,
    /// The names of the active admins.
    pub admins: AdminNames,
}

/// The names of active admins: what users know them by.
#[derive(Debug, Clone, Default)]
pub struct AdminNames {
    /// Usernames, and full names that are not empty.
    pub all: Vec<String>,
}

impl AdminNames {
    /// Of rows with a username and a full name.
    #[must_use]
    pub fn of(rows: Vec<(String, String)>) -> Self {
        let all = rows.into_iter().flat_map(|(username, full_name)| [username, full_name]);
        Self { all: all.filter(|name| !name.is_empty()).collect() }
    }

    /// Refuses a full name that looks like an admin's to an account that is none.
    fn check(&self, full_name: &str, role: &Role) -> Result<(), AccountRefusal> {
        let is_like = |name: &String| looks_like_name(full_name, name);
        if !role.is_admin() && self.all.iter().any(is_like) {
            return Err(AccountRefusal::TooSimilar("full_name"));
        }
        Ok(())
    }
}

impl NewAccountFacts {
    /// Whether the account may be made.
    ///
    /// # Errors
    /// [`AccountRefusal::Taken`] before [`AccountRefusal::TooSimilar`].
    pub fn admit(&self, full_name: &str, role: &Role) -> Result<(), AccountRefusal> {
        use AccountRefusal::{Taken, TooSimilar};
        let reasons = [
            (self.has_username, Taken("username")),
            (self.has_email, Taken("email")),
            (self.has_id, Taken("id")),
            (self.has_username_key, TooSimilar("username")),
            (self.has_email_key, TooSimilar("email")),
        ];
        let reason = reasons.into_iter().find(|(holds, _)| *holds);
        reason.map_or_else(|| self.admins.check(full_name, role), |(_, reason)| Err(reason))
    }
}

/// The facts about an account that is to be changed.
#[derive(Debug, Clone, Default)]
pub struct AccountFacts {
    /// The account.
    pub account: Option<User>,
    /// Whether another account has the new username.
    pub has_username: bool,
    /// Whether another account's username has the same key as the new one.
    pub has_username_key: bool,
    /// Whether another account has the new address, which is not empty.
    pub has_email: bool,
    /// Whether another account's address has the same key as the new one.
    pub has_email_key: bool,
    /// Whether another account is an active super admin.
    pub has_other_super_admin: bool,
    /// The names of the other active admins.
    pub admins: AdminNames,
}

/// The implications of a change beyond the values that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountPlan {
    /// Whether the address is another one: open links to the one before are void, and the new one
    /// is verified only if the caller vouches for it.
    pub moves_email: bool,
    /// Whether the address is verified afterwards.
    pub is_email_verified: bool,
    /// Who has given the account its number, afterwards.
    pub origin: Origin,
    /// Whether it is handed over now: its password and its logins end.
    pub is_handed_over: bool,
}

/// Decides a change. The account's present address is always accepted, whatever it looks like:
/// clients send it back with the rest.
///
/// # Errors
/// See [`AccountRefusal`]. If two super admins demote each other, the second one's facts show the
/// change of the first.
pub fn change(facts: &AccountFacts, changes: &UserChanges) -> Result<AccountPlan, AccountRefusal> {
    if facts.has_username {
        return Err(AccountRefusal::Taken("username"));
    }
    if facts.has_email {
        return Err(AccountRefusal::Taken("email"));
    }
    let Some(account) = &facts.account else { return Err(AccountRefusal::NotFound) };
    let renames = changes.username.as_ref().is_some_and(|name| *name != account.username);
    if renames && facts.has_username_key {
        return Err(AccountRefusal::TooSimilar("username"));
    }
    let is_other = |email: &str| !account.email().eq_ignore_ascii_case(email);
    let moves_email = changes.email().is_some_and(is_other);
    if moves_email && facts.has_email_key {
        return Err(AccountRefusal::TooSimilar("email"));
    }
    let has_other_role = changes.seen_role.as_ref().is_some_and(|seen| *seen != account.role);
    if has_other_role || !account.version().admits(changes.seen) {
        return Err(AccountRefusal::Changed);
    }
    let origin = origin_after(account, changes)?;
    // The present name is accepted, as the present address is.
    if let Some(name) = changes.full_name.as_ref().filter(|name| **name != account.full_name) {
        facts.admins.check(name, changes.role.as_ref().unwrap_or(&account.role))?;
    }
    let is_super_admin = account.is_active && account.role == Role::SuperAdmin;
    if is_super_admin && !facts.has_other_super_admin && loses_super_admin(changes) {
        return Err(AccountRefusal::LastSuperAdmin);
    }
    let is_email_verified =
        if moves_email { changes.vouches_for_email } else { account.is_email_verified };
    let is_handed_over = account.origin == Origin::Hub && origin != Origin::Hub;
    Ok(AccountPlan { moves_email, is_email_verified, origin, is_handed_over })
}

/// Who has given the account its number after these changes.
///
/// # Errors
/// [`AccountRefusal::OlderClaims`].
pub fn origin_after(account: &User, changes: &UserChanges) -> Result<Origin, AccountRefusal> {
    let Origin::Issuer { claims_at: known } = account.origin else {
        return match changes.claims_at {
            Some(_) => Err(AccountRefusal::OlderClaims),
            None => Ok(if changes.hands_over { Origin::ISSUER } else { Origin::Hub }),
        };
    };
    let Some(claims_at) = changes.claims_at else { return Ok(account.origin) };
    // Tokens of the same second, and one that does not say when it was issued: the one with fewer
    // rights counts, so that two in turns do not undo each other.
    let is_of_unknown_order = claims_at == known || claims_at == Timestamp::UNIX_EPOCH;
    let takes_rights =
        || changes.role.as_ref().is_some_and(|role| role.rank() < account.role.rank());
    if claims_at > known || (is_of_unknown_order && takes_rights()) {
        Ok(Origin::Issuer { claims_at: known.max(claims_at) })
    } else {
        Err(AccountRefusal::OlderClaims)
    }
}

/// Whether an account with these changes is no active super admin.
fn loses_super_admin(changes: &UserChanges) -> bool {
    let is_demoted = changes.role.as_ref().is_some_and(|role| *role != Role::SuperAdmin);
    is_demoted || changes.is_active == Some(false)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::address::Addresses;
    use crate::ids::UserId;

    fn account(role: Role, is_active: bool) -> User {
        User {
            id: UserId(1),
            username: "ann".into(),
            addresses: Addresses::email("ann@example.com"),
            full_name: "".into(),
            role,
            is_active,
            is_email_verified: true,
            created_at: Timestamp::UNIX_EPOCH,
            origin: Origin::Hub,
            tokens_from: Timestamp::UNIX_EPOCH,
        }
    }

    fn facts(role: Role) -> AccountFacts {
        AccountFacts { account: Some(account(role, true)), ..AccountFacts::default() }
    }

    fn to(email: &str) -> UserChanges {
        UserChanges { addresses: AddressChanges::email(email), ..UserChanges::default() }
    }

    #[test]
    fn a_new_account_is_refused_by_the_first_value_that_is_taken() {
        let admit = |facts: &NewAccountFacts| facts.admit("", &Role::Client);
        let none = NewAccountFacts::default();
        assert_eq!(admit(&none), Ok(()));
        let email = NewAccountFacts { has_email: true, has_username_key: true, ..none.clone() };
        assert_eq!(admit(&email), Err(AccountRefusal::Taken("email")));
        let similar = NewAccountFacts { has_email_key: true, ..none };
        assert_eq!(admit(&similar), Err(AccountRefusal::TooSimilar("email")));
    }

    #[test]
    fn a_name_that_looks_like_an_admins_is_for_admins() {
        let rows = vec![("root".to_owned(), "Root Super".to_owned()), ("bea".into(), "".into())];
        let admins = AdminNames::of(rows);
        let new = NewAccountFacts { admins: admins.clone(), ..NewAccountFacts::default() };
        let refused = Err(AccountRefusal::TooSimilar("full_name"));
        for name in ["Root Super", "root-super", "Root", "B\u{435}a"] {
            assert_eq!(new.admit(name, &Role::Client), refused, "{name}");
            assert_eq!(new.admit(name, &Role::Developer), refused, "{name}");
            assert_eq!(new.admit(name, &Role::Admin), Ok(()), "{name}");
        }
        assert_eq!(new.admit("", &Role::Client), Ok(()));
        let facts = AccountFacts { admins, ..facts(Role::Client) };
        let to = |name: &str, role: Option<Role>| UserChanges {
            full_name: Some(name.to_owned()),
            role,
            ..UserChanges::default()
        };
        assert!(change(&facts, &to("Root Super", None)).is_err());
        assert!(change(&facts, &to("Root Super", Some(Role::Admin))).is_ok());
        assert!(change(&facts, &to("", None)).is_ok());
    }

    #[test]
    fn another_address_is_verified_only_if_the_caller_vouches_for_it() {
        let facts = facts(Role::Client);
        for (changes, wanted) in [
            (UserChanges::default(), (false, true)),
            (to("ANN@example.com"), (false, true)),
            (to("new@example.com"), (true, false)),
            (UserChanges { vouches_for_email: true, ..to("new@example.com") }, (true, true)),
        ] {
            let plan = change(&facts, &changes).unwrap();
            assert_eq!((plan.moves_email, plan.is_email_verified), wanted, "{changes:?}");
        }
    }

    #[test]
    fn an_address_is_refused_if_it_is_taken_or_new_and_similar() {
        let similar = AccountFacts { has_email_key: true, ..facts(Role::Client) };
        assert!(change(&similar, &to("Ann@Example.com")).is_ok(), "it is its own");
        let refused = change(&similar, &to("new@example.com"));
        assert_eq!(refused, Err(AccountRefusal::TooSimilar("email")));
        let taken = AccountFacts { has_email: true, ..AccountFacts::default() };
        assert_eq!(change(&taken, &to("x@example.com")), Err(AccountRefusal::Taken("email")));
        let none = change(&AccountFacts::default(), &to("x@example.com"));
        assert_eq!(none, Err(AccountRefusal::NotFound));
    }

    #[test]
    fn a_change_stands_on_the_role_that_was_seen() {
        let seen = |role| UserChanges { seen_role: Some(role), ..UserChanges::default() };
        assert!(change(&facts(Role::Client), &seen(Role::Client)).is_ok());
        let refused = change(&facts(Role::Admin), &seen(Role::Client));
        assert_eq!(refused, Err(AccountRefusal::Changed));
    }

    fn roles() -> impl Strategy<Value = Role> {
        prop_oneof![Just(Role::Client), Just(Role::Admin), Just(Role::SuperAdmin)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// In any order of changes: if one super admin is active, one remains.
        #[test]
        fn one_active_super_admin_stays(
            mut accounts in prop::collection::vec((roles(), any::<bool>()), 1..5),
            steps in prop::collection::vec(
                (0usize..5, prop::option::of(roles()), prop::option::of(any::<bool>())), 1..30),
        ) {
            let active = |all: &[(Role, bool)]| {
                all.iter().filter(|(role, on)| *on && *role == Role::SuperAdmin).count()
            };
            for (nth, role, is_active) in steps {
                let nth = nth % accounts.len();
                let before = active(&accounts);
                let (own_role, own_active) = accounts[nth].clone();
                let own = usize::from(own_active && own_role == Role::SuperAdmin);
                let facts = AccountFacts {
                    account: Some(account(own_role, own_active)),
                    has_other_super_admin: before > own,
                    ..AccountFacts::default()
                };
                let changes = UserChanges { role, is_active, ..UserChanges::default() };
                let outcome = change(&facts, &changes);
                if outcome.is_ok() {
                    let (role, is_active) = &mut accounts[nth];
                    *role = changes.role.unwrap_or(role.clone());
                    *is_active = changes.is_active.unwrap_or(*is_active);
                } else {
                    prop_assert_eq!((before, own), (1, 1), "only the last one is kept");
                }
                prop_assert!(before == 0 || active(&accounts) > 0);
            }
        }
    }
}
