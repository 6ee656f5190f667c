//! Ended logins whose access tokens have not expired yet.
//!
//! Without them a client whose sockets were closed at logout could reconnect with the same token.
//! They are in the store too, so that a process that starts knows them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use bellpull_domain::ids::LoginId;
use jiff::Timestamp;

/// How many are held: more than passwords can be checked in the hour that an access token lives.
/// Beyond it, the login whose tokens expire first is dropped, and until they have expired the store
/// is asked for each login that is not here.
pub(super) const ENDED_MAX: u32 = 524_288;

/// What is known of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It has ended.
    Ended,
    /// It has not.
    Open,
    /// Only the store knows.
    Missing,
}

/// The ended logins, each until its last access token expires.
#[derive(Debug, Default)]
pub(super) struct EndedLogins(Mutex<Ended>);

#[derive(Debug, Default)]
struct Ended {
    until: HashMap<LoginId, Timestamp>,
    in_order: BTreeSet<(Timestamp, LoginId)>,
    /// Ended logins are missing here whose tokens expire by then.
    missing_until: Option<Timestamp>,
}

impl EndedLogins {
    /// Those that were ended before this process started.
    pub(super) fn recall(logins: Vec<(LoginId, Timestamp)>) -> Self {
        let is_all = u32::try_from(logins.len()).is_ok_and(|count| count < ENDED_MAX);
        let in_order: BTreeSet<_> = logins.iter().map(|(login, until)| (*until, *login)).collect();
        // Those that were not read expire before these.
        let first = in_order.first().map(|(until, _)| *until);
        let missing_until = first.filter(|_| !is_all);
        Self(Mutex::new(Ended { until: logins.into_iter().collect(), in_order, missing_until }))
    }

    /// What is known of a login.
    pub(super) fn look(&self, login: LoginId, now: Timestamp) -> Known {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.until.contains_key(&login) {
            true => Known::Ended,
            false if ended.missing_until.is_some_and(|until| until > now) => Known::Missing,
            false => Known::Open,
        }
    }

    /// Ended logins are missing here whose tokens expire by then.
    pub(super) fn miss(&self, until: Timestamp) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.missing_until = ended.missing_until.max(Some(until));
    }

    pub(super) fn contains(&self, login: LoginId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).until.contains_key(&login)
    }

    /// `until`: when the last access token of the login expires.
    pub(super) fn insert(&self, login: LoginId, now: Timestamp, until: Timestamp) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = ended.until.insert(login, until) {
            ended.in_order.remove(&(before, login));
        }
        ended.in_order.insert((until, login));
        while let Some((until, login)) = ended.in_order.first().copied() {
            let is_full = u32::try_from(ended.until.len()).is_ok_and(|count| count <= ENDED_MAX);
            if until > now && is_full {
                return;
            }
            if until > now {
                metrics::counter!("bellpull_ended_logins_forgotten_total").increment(1);
                ended.missing_until = ended.missing_until.max(Some(until));
            }
            ended.in_order.pop_first();
            ended.until.remove(&login);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_login_is_known_until_its_last_token_is_over() {
        let ended = EndedLogins::recall(vec![(LoginId(1), at(10)), (LoginId(2), at(20))]);
        ended.insert(LoginId(3), at(9), at(30));
        assert!([1, 2, 3].iter().all(|id| ended.contains(LoginId(*id))));
        ended.insert(LoginId(1), at(9), at(40));
        ended.insert(LoginId(4), at(20), at(30));
        let known: Vec<_> = (1..=5).filter(|id| ended.contains(LoginId(*id))).collect();
        assert_eq!(known, [1, 3, 4], "the second is over");
    }

    #[test]
    fn of_too_many_the_one_that_is_over_first_is_forgotten() {
        let until = |id: i64| (LoginId(id), at(1_000 + id));
        let ended = EndedLogins::recall((1..=i64::from(ENDED_MAX)).map(until).collect());
        ended.insert(LoginId(0), at(1), at(5_000_000));
        let known: Vec<_> = (0..=3).filter(|id| ended.contains(LoginId(*id))).collect();
        assert_eq!(known, [0, 2, 3]);
        let look = |id, now| ended.look(LoginId(id), at(now));
        assert_eq!([look(0, 1), look(1, 1_000)], [Known::Ended, Known::Missing]);
        assert_eq!([look(1, 1_001), look(-7, 1_001)], [Known::Open; 2], "its tokens are over");
    }

    #[test]
    fn more_than_can_be_recalled_at_a_start_are_asked_for() {
        let until = |id: i64| (LoginId(id), at(1_000 + id));
        let some = EndedLogins::recall((2..=i64::from(ENDED_MAX)).map(until).collect());
        assert_eq!(some.look(LoginId(1), at(1)), Known::Open);
        let full = EndedLogins::recall((2..=1 + i64::from(ENDED_MAX)).map(until).collect());
        assert_eq!(full.look(LoginId(1), at(1)), Known::Missing);
        assert_eq!(full.look(LoginId(1), at(1_002)), Known::Open);
    }
}
