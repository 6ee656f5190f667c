//! Account links: for which accounts they are created, and when they may be used.

use jiff::{SignedDuration, Timestamp};

use crate::account_link::{AccountLink, LinkPurpose};
use crate::ids::{LinkId, UserId};
use crate::user::User;

/// How many links of one account and purpose may be open at once; the oldest are revoked. More than
/// the e-mails that the edge allows to one address within a link's lifetime.
const OPEN_MAX: usize = 5;
/// How long a link's row is kept after it ends, because the list of deliveries shows the e-mail's
/// account: longer than deliveries are kept by default.
const KEPT: SignedDuration = SignedDuration::from_hours(100 * 24);

/// A link's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLink {
    /// Which.
    pub id: LinkId,
    /// The account.
    pub user: UserId,
    /// Its purpose.
    pub purpose: LinkPurpose,
    /// The address that its mail went to.
    pub email: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was used or became void.
    pub ended_at: Option<Timestamp>,
}

/// Whether a link is of use to an account: a new password for an active account that has one, the
/// confirmation of an address that is not verified.
#[must_use]
pub fn is_of_use(purpose: LinkPurpose, account: &User, has_password: bool) -> bool {
    let is_needed = match purpose {
        LinkPurpose::Password => has_password,
        LinkPurpose::Email => !account.is_email_verified,
    };
    account.is_active && !account.email().is_empty() && is_needed
}

/// Which of an account's open links of one purpose a new one revokes: the oldest.
#[must_use]
pub fn displaced(mut open: Vec<(Timestamp, LinkId)>) -> Vec<LinkId> {
    open.sort_unstable();
    let excess = (open.len() + 1).saturating_sub(OPEN_MAX);
    open.into_iter().take(excess).map(|(_, id)| id).collect()
}

/// Rows of links that expired before this may go.
#[must_use]
pub fn forgotten_before(now: Timestamp) -> Timestamp {
    now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)
}

/// Whether a link may still be used, as far as its row shows.
#[must_use]
pub fn is_open(stored: Option<&StoredLink>, link: &AccountLink, now: Timestamp) -> bool {
    stored.is_some_and(|stored| {
        let is_it = (stored.id, stored.user, stored.purpose) == (link.id, link.user, link.purpose);
        is_it && stored.ended_at.is_none() && stored.expires_at > now
    })
}

/// Whether a link is used now: it is open, and its account is active and still has the address that
/// the mail went to.
#[must_use]
pub fn may_use(
    stored: Option<&StoredLink>,
    account: Option<&User>,
    link: &AccountLink,
    now: Timestamp,
) -> bool {
    let (Some(row), Some(account)) = (stored, account) else { return false };
    let is_its_address = account.email().eq_ignore_ascii_case(&row.email);
    account.id == row.user && account.is_active && is_its_address && is_open(stored, link, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Addresses;
    use crate::user::Role;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn account() -> User {
        User {
            id: UserId(7),
            username: "ann".into(),
            addresses: Addresses::email("ann@example.com"),
            full_name: "".into(),
            role: Role::Client,
            is_active: true,
            is_email_verified: false,
            created_at: Timestamp::UNIX_EPOCH,
            origin: crate::user::Origin::Hub,
            tokens_from: Timestamp::UNIX_EPOCH,
        }
    }

    fn stored() -> StoredLink {
        StoredLink {
            id: LinkId(3),
            user: UserId(7),
            purpose: LinkPurpose::Password,
            email: "Ann@example.com".to_owned(),
            created_at: at(0),
            expires_at: at(100),
            ended_at: None,
        }
    }

    fn link() -> AccountLink {
        let StoredLink { id, user, purpose, expires_at, .. } = stored();
        AccountLink { id, user, purpose, expires_at }
    }

    #[test]
    fn a_link_is_made_where_it_is_of_use() {
        use LinkPurpose::{Email, Password};
        let verified = User { is_email_verified: true, ..account() };
        let off = User { is_active: false, ..account() };
        let silent = User { addresses: Addresses::default(), ..account() };
        for (purpose, account, has_password, wanted) in [
            (Password, account(), true, true),
            (Password, account(), false, false),
            (Password, verified.clone(), true, true),
            (Password, off.clone(), true, false),
            (Password, silent.clone(), true, false),
            (Email, account(), false, true),
            (Email, verified, true, false),
            (Email, off, true, false),
            (Email, silent, true, false),
        ] {
            let made = is_of_use(purpose, &account, has_password);
            assert_eq!(made, wanted, "{purpose:?} {account:?} {has_password}");
        }
    }

    #[test]
    fn a_link_is_used_once_in_time_and_for_what_it_was_made() {
        let use_it = |stored: &StoredLink, account: &User, link: &AccountLink, now: i64| {
            may_use(Some(stored), Some(account), link, at(now))
        };
        assert!(use_it(&stored(), &account(), &link(), 99));
        assert!(!use_it(&stored(), &account(), &link(), 100), "expired");
        let used = StoredLink { ended_at: Some(at(1)), ..stored() };
        assert!(!use_it(&used, &account(), &link(), 9), "used");
        for other in [
            AccountLink { id: LinkId(4), ..link() },
            AccountLink { user: UserId(8), ..link() },
            AccountLink { purpose: LinkPurpose::Email, ..link() },
        ] {
            assert!(!use_it(&stored(), &account(), &other, 9), "{other:?}");
        }
        let off = User { is_active: false, ..account() };
        let moved = User { addresses: Addresses::email("new@example.com"), ..account() };
        for account in [off, moved] {
            assert!(!use_it(&stored(), &account, &link(), 9), "{account:?}");
            assert!(is_open(Some(&stored()), &link(), at(9)), "its row alone is open");
        }
        assert!(!may_use(None, Some(&account()), &link(), at(9)));
        assert!(!may_use(Some(&stored()), None, &link(), at(9)));
    }

    #[test]
    fn the_oldest_by_time_give_way() {
        let open = |seconds: &[i64]| {
            let ids = (1..).map(LinkId);
            seconds.iter().map(|second| at(*second)).zip(ids).collect::<Vec<_>>()
        };
        assert!(displaced(open(&[1, 2, 3, 4])).is_empty());
        assert_eq!(displaced(open(&[9, 2, 3, 4, 5])), [LinkId(2)], "the lowest id is the newest");
        assert_eq!(displaced(open(&[9, 2, 3, 1, 5, 6])), [LinkId(4), LinkId(2)]);
    }
}
