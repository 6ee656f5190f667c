//! Where a session's notifications start, as its client says in the URL or a header.

use bellpull_domain::ids::Seq;
use bellpull_port::session::{Begin, Feed, Resume};

use super::Dialect;

/// The client's parameters, unparsed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Wish<'a> {
    /// The last position that it has.
    pub since: Option<&'a str>,
    /// Whose position that is.
    pub epoch: Option<&'a str>,
    /// `none` if it wants only future notifications.
    pub replay: Option<&'a str>,
}

/// An invalid parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct BadWish {
    /// The parameter's name.
    pub parameter: &'static str,
    /// What is wrong with it, for a reader.
    pub problem: &'static str,
}

impl Wish<'_> {
    /// Which part of the user's inbox a session is sent. `epoch` is this store's.
    pub fn feed(self, dialect: Dialect, epoch: &str) -> Result<Feed, BadWish> {
        let since = self.since.map(seq).transpose()?;
        let wants_none = match self.replay {
            None => false,
            Some("none") => true,
            Some(_) => return Err(bad("replay", "The only value is \"none\".")),
        };
        // A position of another epoch says nothing about what is here.
        let is_other = self.epoch.is_some_and(|held| held != epoch);
        if !dialect.follows_changes() {
            return Ok(Feed::Entries(match since {
                _ if wants_none => Begin::Live,
                Some(seq) if !is_other => Begin::Since(seq),
                Some(_) | None => Begin::Undelivered,
            }));
        }
        Ok(Feed::Changes(match since {
            _ if wants_none => Resume::Live,
            _ if is_other => Resume::Reset,
            Some(seq) => Resume::After(seq),
            None => Resume::Unacknowledged,
        }))
    }
}

fn bad(parameter: &'static str, problem: &'static str) -> BadWish {
    BadWish { parameter, problem }
}

fn seq(text: &str) -> Result<Seq, BadWish> {
    // `parse` alone would accept a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.map(Seq).ok_or(bad("since", "A whole number, 0 or more."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish<'a>(
        since: Option<&'a str>,
        epoch: Option<&'a str>,
        replay: Option<&'a str>,
    ) -> Wish<'a> {
        Wish { since, epoch, replay }
    }

    #[test]
    fn of_entries() {
        for (since, replay, begin, of_another) in [
            (None, None, Begin::Undelivered, Begin::Undelivered),
            (Some("0"), None, Begin::Since(Seq(0)), Begin::Undelivered),
            (Some("17"), None, Begin::Since(Seq(17)), Begin::Undelivered),
            (None, Some("none"), Begin::Live, Begin::Live),
            (Some("17"), Some("none"), Begin::Live, Begin::Live),
        ] {
            for (epoch, begin) in [
                (None, begin),
                (Some("e1"), begin),
                (Some("e2"), of_another),
                (Some(""), of_another),
            ] {
                let feed = wish(since, epoch, replay).feed(Dialect::Incident, "e1");
                assert_eq!(feed, Ok(Feed::Entries(begin)), "{since:?} {epoch:?} {replay:?}");
            }
        }
    }

    #[test]
    fn of_changes() {
        let after = Resume::After(Seq(17));
        for (since, epoch, replay, resume) in [
            (None, None, None, Resume::Unacknowledged),
            (None, Some("e1"), None, Resume::Unacknowledged),
            (Some("17"), None, None, after),
            (Some("17"), Some("e1"), None, after),
            (Some("17"), Some("e2"), None, Resume::Reset),
            (Some("17"), Some(""), None, Resume::Reset),
            (None, Some("e2"), None, Resume::Reset),
            (None, None, Some("none"), Resume::Live),
            (Some("17"), Some("e2"), Some("none"), Resume::Live),
        ] {
            let feed = wish(since, epoch, replay).feed(Dialect::BellpullV1, "e1");
            assert_eq!(feed, Ok(Feed::Changes(resume)), "{since:?} {epoch:?} {replay:?}");
        }
    }

    #[test]
    fn what_will_not_do() {
        for dialect in Dialect::ALL {
            for text in ["", "-1", "+1", "x", "1.5", " 1", "9223372036854775808"] {
                let refused = bad("since", "A whole number, 0 or more.");
                let feed = wish(Some(text), None, Some("none")).feed(dialect, "e1");
                assert_eq!(feed, Err(refused), "{text}");
            }
            let refused = bad("replay", "The only value is \"none\".");
            assert_eq!(wish(None, None, Some("all")).feed(dialect, "e1"), Err(refused));
        }
    }
}
