//! The mark in each message of a run: its number, and when it was due.
//!
//! A server passes it on unchanged in any frame, so one way of finding it works for all servers.

use std::sync::LazyLock;

use memchr::memmem::{Finder, FinderRev};

static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("bpl:"));
static SEQ: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new("\"seq\":"));

/// A message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The run's id: a server may still hold messages of others.
    pub run: u32,
    /// Counts up from 0.
    pub n: u64,
    /// When it was due, by the machine's clock; 0 if the sender keeps that itself.
    pub sent_ns: u64,
}

impl Mark {
    /// The mark as text.
    #[must_use]
    pub fn text(self) -> String {
        let Self { run, n, sent_ns } = self;
        format!("bpl:{run}:{n}:{sent_ns}:")
    }

    /// A message of this many bytes that begins with the mark; no shorter than the mark.
    #[must_use]
    pub fn message(self, bytes: usize) -> String {
        let mut text = self.text();
        while text.len() < bytes {
            text.push('x');
        }
        text
    }

    /// The mark in a frame.
    #[must_use]
    pub fn find(payload: &[u8]) -> Option<Self> {
        let rest = payload.get(MARK.find(payload)? + 4..)?;
        let (run, rest) = number(rest)?;
        let (n, rest) = number(rest.strip_prefix(b":")?)?;
        let (sent_ns, rest) = number(rest.strip_prefix(b":")?)?;
        rest.starts_with(b":").then_some(Self { run: u32::try_from(run).ok()?, n, sent_ns })
    }
}

/// The position that our hubs add to each notification.
#[must_use]
pub fn seq(payload: &[u8]) -> Option<u64> {
    let rest = payload.get(SEQ.rfind(payload)? + 6..)?;
    Some(number(rest)?.0)
}

/// A number at the start, and the rest.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(digits);
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    if digits.is_empty() { None } else { Some((digits.iter().try_fold(0, add)?, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_any_frame() {
        let mark = Mark { run: u32::MAX, n: 12, sent_ns: u64::MAX };
        for frame in [
            mark.text(),
            format!(r#"{{"message":"{}","seq":17}}"#, mark.message(400)),
            format!("42[\"event\",\"{}\"]", mark.message(40)),
        ] {
            assert_eq!(Mark::find(frame.as_bytes()), Some(mark), "{frame}");
        }
        assert_eq!(mark.message(400).len(), 400);
        assert_eq!(mark.message(0), mark.text());
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for frame in ["", "bpl:", "bpl:1:2", "bpl:1:2:3", "bpl::2:3:", "bpl:4294967296:1:1:"] {
            assert_eq!(Mark::find(frame.as_bytes()), None, "{frame}");
        }
    }

    #[test]
    fn the_position_is_the_last_one_in_the_frame() {
        assert_eq!(seq(br#"{"seq":3,"id":9,"seq":17}"#), Some(17));
        assert_eq!(seq(br#"{"message":"a \"seq\": 4"}"#), None);
        assert_eq!(seq(br#"{"seq":null}"#), None);
        assert_eq!(seq(br#"{"seq":99999999999999999999}"#), None);
    }
}
