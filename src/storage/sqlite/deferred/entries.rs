//! The stored form of a list of entries: small numbers in few bytes, for a broadcast has very many.

use bellpull_domain::ids::{Seq, UserId};

/// A notification that was appended to an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct DeferredEntry {
    pub(in super::super) user: UserId,
    pub(in super::super) seq: Seq,
    /// The notification's id.
    pub(in super::super) id: i64,
    pub(in super::super) message: i64,
}

/// The first byte of a list: the version of its format.
const FORM: u8 = 1;
/// Seven bits a byte: a number of 64 bits takes at most ten.
const BYTES_MAX: u32 = 10;

/// Encodes a list: the format, the lowest notification id and the lowest message id; then for each
/// entry its user, its number, and both ids as differences from the lowest.
pub(super) fn encode(entries: &[DeferredEntry]) -> Vec<u8> {
    let lowest = |of: fn(&DeferredEntry) -> i64| entries.iter().map(of).min().unwrap_or(0);
    let (id, message) = (lowest(|entry| entry.id), lowest(|entry| entry.message));
    let mut bytes = Vec::with_capacity(8 * entries.len() + 1);
    bytes.push(FORM);
    put(&mut bytes, id);
    put(&mut bytes, message);
    for entry in entries {
        for number in [entry.user.0, entry.seq.0, entry.id - id, entry.message - message] {
            put(&mut bytes, number);
        }
    }
    bytes
}

/// Decodes a list; `None` if it is malformed.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<DeferredEntry>> {
    let (&form, mut rest) = bytes.split_first()?;
    if form != FORM {
        return None;
    }
    let (first_id, first_message) = (take(&mut rest)?, take(&mut rest)?);
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(DeferredEntry {
            user: UserId(take(&mut rest)?),
            seq: Seq(take(&mut rest)?),
            id: first_id.checked_add(take(&mut rest)?)?,
            message: first_message.checked_add(take(&mut rest)?)?,
        });
    }
    Some(entries)
}

/// The lowest seven bits first; the eighth bit says that more follow.
fn put(bytes: &mut Vec<u8>, number: i64) {
    let mut left = number.cast_unsigned();
    while left > 0x7f {
        bytes.push(left.to_le_bytes()[0] | 0x80);
        left >>= 7;
    }
    bytes.push(left.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for place in 0..BYTES_MAX {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(number.cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = DeferredEntry> {
        let number = || prop_oneof![0..300_i64, 0..i64::MAX / 4];
        (number(), number(), number(), number()).prop_map(|(user, seq, id, message)| {
            DeferredEntry { user: UserId(user), seq: Seq(seq), id, message }
        })
    }

    proptest! {
        #[test]
        fn a_list_survives_its_row(entries in prop::collection::vec(entry(), 0..50)) {
            prop_assert_eq!(decode(&encode(&entries)), Some(entries));
        }

        #[test]
        fn what_is_no_list_is_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&bytes);
            let one = DeferredEntry { user: UserId(300), seq: Seq(1), id: 5, message: 7 };
            let mut cut = encode(&[one]);
            cut.pop();
            prop_assert_eq!(decode(&cut), None);
        }
    }

    #[test]
    fn a_birth_of_a_broadcast_takes_few_bytes() {
        let entry = |user: i64| DeferredEntry {
            user: UserId(user),
            seq: Seq(200),
            id: 1_000_000 + user,
            message: 4_000,
        };
        let entries: Vec<DeferredEntry> = (20_001..=20_512).map(entry).collect();
        let bytes = encode(&entries).len();
        assert!(bytes <= 8 * entries.len(), "{bytes}");
    }
}
