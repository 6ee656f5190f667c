//! Logins: begun, continued with refresh tokens, ended.
//!
//! A refresh token has a generation. A token may be used again until its successor was used, for
//! the answer with the successor may have been lost; after that its use ends the login, for two
//! parties have it.

use jiff::Timestamp;

use crate::ids::{LoginId, UserId};

/// A login as a store has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// Which.
    pub id: LoginId,
    /// The user.
    pub user: UserId,
    /// The highest generation of its refresh tokens that was used.
    pub generation: i64,
    /// When the last of its access tokens expires.
    pub access_until: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Login {
    /// Whether its refresh tokens are accepted.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }

    /// The login after it was revoked: once, the first time counts.
    #[must_use]
    pub fn revoked(self, now: Timestamp) -> Self {
        Self { revoked_at: self.revoked_at.or(Some(now)), ..self }
    }
}

/// The outcome of using a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshUse {
    /// The login continues.
    Good(UserId),
    /// No such login, or it has ended.
    Ended,
    /// The token had been replaced and its successor used: the login has just been revoked.
    Reused {
        /// The user.
        user: UserId,
        /// When the last of its access tokens ends.
        access_until: Timestamp,
    },
}

/// An ended login with access tokens that may still be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedLogin {
    /// Which.
    pub id: LoginId,
    /// The user.
    pub user: UserId,
    /// When the last of its access tokens expires.
    pub access_until: Timestamp,
}

/// Whether a login may begin that was verified against the password hash `seen`, given the
/// account's present one; `None` if there is no account.
#[must_use]
pub fn may_begin(account: Option<Option<&str>>, seen: Option<&str>) -> bool {
    account == Some(seen)
}

/// Decides the use of a refresh token: the answer, and the login as it is to be stored, if it
/// changes.
#[must_use]
pub fn use_refresh(
    login: Option<Login>,
    generation: i64,
    now: Timestamp,
    access_until: Timestamp,
) -> (RefreshUse, Option<Login>) {
    let Some(login) = login.filter(|login| login.is_open(now)) else {
        return (RefreshUse::Ended, None);
    };
    if generation < login.generation {
        let Login { user, access_until, .. } = login;
        return (RefreshUse::Reused { user, access_until }, Some(login.revoked(now)));
    }
    let access_until = login.access_until.max(access_until);
    (RefreshUse::Good(login.user), Some(Login { generation, access_until, ..login }))
}

/// Which of an account's logins a new password or an admin revokes: all that are open, but for
/// `keep`.
pub fn to_revoke(
    logins: &[Login],
    keep: Option<LoginId>,
    now: Timestamp,
) -> impl Iterator<Item = &Login> {
    logins.iter().filter(move |login| login.is_open(now) && Some(login.id) != keep)
}

/// The revoked logins with access tokens that are still valid.
#[must_use]
pub fn still_valid<'l>(
    revoked: impl IntoIterator<Item = &'l Login>,
    now: Timestamp,
) -> Vec<EndedLogin> {
    let valid = revoked.into_iter().filter(|login| login.access_until > now);
    let ended = |Login { id, user, access_until, .. }: &Login| (*id, *user, *access_until);
    valid.map(ended).map(|(id, user, access_until)| EndedLogin { id, user, access_until }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn login() -> Login {
        Login {
            id: LoginId(1),
            user: UserId(7),
            generation: 3,
            access_until: at(50),
            expires_at: at(100),
            revoked_at: None,
        }
    }

    #[test]
    fn a_login_begins_with_the_password_that_was_checked() {
        for (account, seen, wanted) in [
            (None, None, false),
            (Some(None), None, true),
            (Some(Some("a")), Some("a"), true),
            (Some(Some("b")), Some("a"), false),
            (Some(None), Some("a"), false),
        ] {
            assert_eq!(may_begin(account, seen), wanted, "{account:?} {seen:?}");
        }
    }

    #[test]
    fn a_refresh_token_is_good_until_its_successor_was_used() {
        let good = |generation| {
            let after = Login { generation, access_until: at(60), ..login() };
            (RefreshUse::Good(UserId(7)), Some(after))
        };
        assert_eq!(use_refresh(Some(login()), 3, at(10), at(60)), good(3), "again");
        assert_eq!(use_refresh(Some(login()), 4, at(10), at(60)), good(4));
        let (answer, after) = use_refresh(Some(login()), 2, at(10), at(60));
        assert_eq!(answer, RefreshUse::Reused { user: UserId(7), access_until: at(50) });
        assert_eq!(after, Some(Login { revoked_at: Some(at(10)), ..login() }));
        for ended in [None, after, Some(Login { expires_at: at(10), ..login() })] {
            assert_eq!(use_refresh(ended, 9, at(10), at(60)), (RefreshUse::Ended, None));
        }
    }

    #[test]
    fn a_new_password_ends_the_open_logins_but_the_one_that_is_kept() {
        let login =
            |id: i64, access: i64| Login { id: LoginId(id), access_until: at(access), ..login() };
        let expired = Login { expires_at: at(5), ..login(4, 50) };
        let logins =
            [login(1, 50), login(2, 50), login(3, 9), expired, login(5, 50).revoked(at(1))];
        let ended: Vec<_> = to_revoke(&logins, Some(LoginId(2)), at(10)).collect();
        assert_eq!(ended.iter().map(|login| login.id.0).collect::<Vec<_>>(), [1, 3]);
        let valid = still_valid(ended, at(10));
        assert_eq!(valid.iter().map(|login| login.id.0).collect::<Vec<_>>(), [1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Generations never fall, access never shortens, and a login that has ended stays so.
        #[test]
        fn uses_only_go_forward(uses in prop::collection::vec((0i64..6, 1i64..150), 1..30)) {
            let mut stored = Login { generation: 0, ..login() };
            let mut now = 0;
            for (generation, until) in uses {
                now += 4;
                let (answer, after) = use_refresh(Some(stored), generation, at(now), at(until));
                let Some(after) = after else {
                    prop_assert_eq!(answer, RefreshUse::Ended);
                    prop_assert!(!stored.is_open(at(now)));
                    continue;
                };
                prop_assert!(stored.is_open(at(now)));
                prop_assert!(after.generation >= stored.generation);
                prop_assert!(after.access_until >= stored.access_until);
                prop_assert_eq!(after.revoked_at.is_some(), generation < stored.generation);
                stored = after;
            }
        }
    }
}
