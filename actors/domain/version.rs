//! Versions of what several users edit: an edit that names the version it began with is refused if
//! another one came first.
//!
//! A version is the time of the last change: it needs no column of its own, and what was deleted
//! and made anew has another one.

use jiff::Timestamp;

/// The time of a row's last change, in milliseconds; 0 where there is no row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version(pub i64);

impl Version {
    /// Of what was changed then; `None`: there is no row.
    #[must_use]
    pub fn of(changed_at: Option<Timestamp>) -> Self {
        Self(changed_at.map_or(0, Timestamp::as_millisecond))
    }

    /// Whether it may be changed by a caller who has seen that version, or who does not say.
    #[must_use]
    pub fn admits(self, seen: Option<Self>) -> bool {
        seen.is_none_or(|seen| seen == self)
    }

    /// The time of a change by a caller who has seen that version: later than it, whatever the
    /// clock says.
    #[must_use]
    pub fn next(seen: Option<Self>, now: Timestamp) -> Timestamp {
        let later = seen.and_then(|Self(ms)| Timestamp::from_millisecond(ms.checked_add(1)?).ok());
        later.map_or(now, |later| later.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_another_version_whatever_the_clock_says() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let seen = Version::of(Some(at(5_000)));
        for now in [0, 4_999, 5_000, 5_001] {
            let next = Version::of(Some(Version::next(Some(seen), at(now))));
            assert!(next.0 > seen.0 && !next.admits(Some(seen)), "{now}");
        }
        assert_eq!(Version::next(Some(Version(i64::MAX)), at(7)), at(7));
        assert_eq!(Version::next(None, at(7)), at(7));
    }

    #[test]
    fn who_says_nothing_replaces_what_is_there() {
        let stored = Version(7);
        assert!(stored.admits(None) && stored.admits(Some(Version(7))));
        assert!(!stored.admits(Some(Version(6))) && !stored.admits(Some(Version::default())));
        assert!(Version::of(None).admits(Some(Version(0))), "there is none, as was seen");
    }
}
