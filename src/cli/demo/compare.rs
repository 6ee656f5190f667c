//! What a user has received, compared with the inbox.

use std::collections::HashSet;

use super::client::Entry;

/// Compares what was received, in its order, with the inbox, oldest first.
///
/// # Errors
/// What is missing, duplicated, out of order, or in no inbox.
pub(super) fn compare(who: &str, heard: &[Entry], inbox: &[Entry]) -> Result<(), String> {
    let mut seen = HashSet::new();
    let doubled: Vec<i64> =
        heard.iter().filter(|entry| !seen.insert(**entry)).map(|entry| entry.seq).collect();
    let stored: HashSet<Entry> = inbox.iter().copied().collect();
    let missed = inbox.iter().filter(|entry| !seen.contains(entry)).map(|entry| entry.seq);
    let missed: Vec<i64> = missed.collect();
    let unknown = heard.iter().filter(|entry| !stored.contains(entry)).map(|entry| entry.seq);
    let unknown: Vec<i64> = unknown.collect();
    let pairs = heard.iter().zip(heard.iter().skip(1));
    let reordered: Vec<i64> =
        pairs.filter(|(one, next)| next.seq < one.seq).map(|(_, next)| next.seq).collect();
    for (what, found) in [
        ("never received", missed),
        ("received twice", doubled),
        ("received out of order", reordered),
        ("received what is not in the inbox:", unknown),
    ] {
        if !found.is_empty() {
            return Err(format!("{who} {what} {found:?} (by seq)"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(seqs: &[i64]) -> Vec<Entry> {
        seqs.iter().map(|seq| Entry { seq: *seq, id: seq + 100 }).collect()
    }

    #[test]
    fn every_difference_is_found() {
        let inbox = entries(&[4, 5, 6]);
        let found = |heard: &[Entry]| compare("ada", heard, &inbox).unwrap_err();
        assert_eq!(compare("ada", &entries(&[4, 5, 6]), &inbox), Ok(()));
        assert_eq!(found(&entries(&[4, 6])), "ada never received [5] (by seq)");
        assert_eq!(found(&entries(&[4, 5, 5, 6])), "ada received twice [5] (by seq)");
        assert_eq!(found(&entries(&[5, 4, 6])), "ada received out of order [4] (by seq)");
        let more = found(&entries(&[4, 5, 6, 7]));
        assert_eq!(more, "ada received what is not in the inbox: [7] (by seq)");
        let other = [Entry { seq: 4, id: 1 }, inbox[1], inbox[2]];
        assert_eq!(found(&other), "ada never received [4] (by seq)");
    }
}
