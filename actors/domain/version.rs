//! Versions of what several users edit: an edit that names the version it began with is refused if
//! another one came first.
//!
//! A version needs no column of its own. It is the time of the last change where a row has one, so
//! that what was deleted and made anew has another version; else a digest of what the user sees,
//! which is the same again once a change has been undone.

use jiff::Timestamp;

/// A number; 0 where there is no row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version(pub i64);

impl Version {
    /// Of what was changed then; `None`: there is no row.
    #[must_use]
    pub fn of(changed_at: Option<Timestamp>) -> Self {
        Self(changed_at.map_or(0, Timestamp::as_millisecond))
    }

    /// Of what is told by these texts: 53 bits, which every JSON parser keeps, of FNV-1a.
    #[must_use]
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        // No text has a byte 255: it ends each of them.
        let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([u8::MAX]));
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(i64::try_from(digest >> 11).unwrap_or_default())
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
    fn other_texts_have_another_version() {
        let lists: [&[&str]; 6] = [&[], &[""], &["", ""], &["ab"], &["a", "b"], &["b", "a"]];
        let mut versions = lists.map(|texts| Version::of_texts(texts.iter().copied()).0);
        versions.sort_unstable();
        assert!(versions.windows(2).all(|two| two[0] < two[1]), "{versions:?}");
        assert!(versions[0] > 0 && versions[5] < 1 << 53);
    }

    #[test]
    fn who_says_nothing_replaces_what_is_there() {
        let stored = Version(7);
        assert!(stored.admits(None) && stored.admits(Some(Version(7))));
        assert!(!stored.admits(Some(Version(6))) && !stored.admits(Some(Version::default())));
        assert!(Version::of(None).admits(Some(Version(0))), "there is none, as was seen");
    }
}
