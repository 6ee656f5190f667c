//! Where a report finds the notifications of its messages.
//!
//! No index leads from each message to its notifications: every write would have to maintain it.
//! Rows are written in about the order of their messages' ids, so the least and the greatest id of
//! each few pages (a BRIN index) find the rows of a range of ids. Messages of one time have ids in
//! few ranges: nodes give them out in blocks. Ranges only limit what is read: the message of each
//! row decides whether it counts.

/// A range of ids, both ends included.
pub(super) type Range = (i64, i64);

/// The most ranges of a report: each reads the index.
const RANGES_MAX: usize = 64;
/// Ids that are this close are in one range: about so many are on the pages that are read anyway.
const NEAR: i64 = 8_192;

/// The ranges that contain these ids.
pub(super) fn ranges(mut ids: Vec<i64>) -> Vec<Range> {
    ids.sort_unstable();
    let mut near = NEAR;
    loop {
        let ranges = ranges_of(&ids, near);
        if ranges.len() <= RANGES_MAX {
            return ranges;
        }
        near = near.saturating_mul(4);
    }
}

fn ranges_of(sorted: &[i64], near: i64) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for &id in sorted {
        match ranges.last_mut() {
            Some(last) if id.saturating_sub(last.1) <= near => last.1 = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_near_each_other_share_a_range() {
        assert_eq!(ranges(Vec::new()), []);
        assert_eq!(ranges(vec![7]), [(7, 7)]);
        let far = NEAR * 100;
        assert_eq!(ranges(vec![far, 3, NEAR + 3, 1]), [(1, NEAR + 3), (far, far)]);
        assert_eq!(ranges(vec![1, NEAR + 2]), [(1, 1), (NEAR + 2, NEAR + 2)]);
    }

    #[test]
    fn ranges_are_few_and_contain_all_ids() {
        let ids: Vec<i64> = (0..10_000).map(|n| n * n * 1_000).collect();
        let ranges = ranges(ids.clone());
        assert!(ranges.len() <= RANGES_MAX);
        assert!(ids.iter().all(|id| ranges.iter().any(|(from, to)| (from..=to).contains(&id))));
        assert!(ranges.is_sorted_by(|a, b| a.1 < b.0));
    }
}
