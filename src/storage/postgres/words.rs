//! The words of tickets and of searches, as PostgreSQL's full-text index compares them.
//!
//! PostgreSQL stores and compares the words as they are given: the domain cuts and folds a ticket's
//! text and a search alike, so that the server needs no dictionary and every server gives the same
//! answers.
//!
//! Tickets whose words a version before has cut are indexed anew in portions ([`renew`]), beside
//! other work and while other nodes write. Until then they are found by words that both versions
//! cut alike.

use std::fmt::Write as _;

use bellpull_domain::plan::search_text;
use bellpull_domain::search::{Search, Term};
use bellpull_domain::words::Folded;
use bellpull_port::StoreError;

use super::Postgres;
use super::transaction::failed;

/// Positions of a text; PostgreSQL stores none above 16,383. After them they begin anew, so that
/// words which follow each other are found in the longest text; it has at most 20,000 or so.
const POSITIONS: usize = 16_382;
/// Bytes of all words with their positions; PostgreSQL refuses 1 MiB. Words after it are not found.
const BYTES_MAX: usize = 1_000_000;
/// What a word takes besides its bytes: its position, their number, and filling.
const WORD_OVERHEAD: usize = 6;

/// The words of a ticket's text as a literal of the type `tsvector`, with their positions.
pub(super) fn vector(text: &Folded) -> String {
    let mut literal = String::new();
    let mut bytes = 0;
    for (index, word) in text.words().enumerate() {
        bytes += word.len() + WORD_OVERHEAD;
        if bytes > BYTES_MAX {
            break;
        }
        let position = index % POSITIONS + 1;
        // Letters, digits and marks only, so nothing within the quotes is special.
        let _ = write!(literal, "'{word}':{position} ");
    }
    literal
}

/// A search as a literal of the type `tsquery`: `('web' <-> '5') & ('door':*)`. `None` if it has no
/// word and so matches nothing.
pub(super) fn query(search: &Search) -> Option<String> {
    let terms: Vec<String> = search.terms().iter().map(term).collect();
    (!terms.is_empty()).then(|| terms.join(" & "))
}

fn term(term: &Term) -> String {
    let words: Vec<String> = term.words.iter().map(|word| format!("'{word}'")).collect();
    let mark = if term.is_prefix { ":*" } else { "" };
    format!("({}{mark})", words.join(" <-> "))
}

/// Indexes at most `limit` tickets anew. Their rows are locked before their texts are read: what
/// another transaction writes meanwhile waits, and overwrites these words.
pub(super) async fn renew(store: &Postgres, limit: u32) -> Result<u64, StoreError> {
    let mut work = store.begin().await?;
    let sql = "SELECT ticket_id FROM ticket_words WHERE revision = 0 \
               ORDER BY ticket_id DESC LIMIT $1 FOR UPDATE SKIP LOCKED";
    let query = sqlx::query_scalar(sql).bind(i64::from(limit));
    let ids: Vec<i64> = query.fetch_all(&mut *work).await.map_err(failed)?;
    if ids.is_empty() {
        work.roll_back().await;
        return Ok(0);
    }
    let sql = "SELECT t.id, p.key || '-' || t.number, t.title, t.description FROM tickets t \
               JOIN projects p ON p.id = t.project_id WHERE t.id = ANY ($1)";
    let query = sqlx::query_as(sql).bind(&ids);
    let found: Vec<(i64, String, String, String)> =
        query.fetch_all(&mut *work).await.map_err(failed)?;
    let (ids, vectors): (Vec<i64>, Vec<String>) = found
        .iter()
        .map(|(id, key, title, description)| (id, vector(&search_text(key, title, description))))
        .unzip();
    let sql = "UPDATE ticket_words w SET words = v.words::tsvector, revision = w.revision + 1 \
               FROM UNNEST($1::bigint[], $2::text[]) AS v (id, words) WHERE w.ticket_id = v.id";
    let query = sqlx::query(sql).bind(&ids).bind(vectors);
    query.execute(&mut *work).await.map_err(failed)?;
    work.commit().await?;
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> String {
        vector(&Folded::of(text))
    }

    #[test]
    fn a_text_becomes_its_folded_words_with_their_positions() {
        for (text, wanted) in [
            ("", ""),
            (" -- ", ""),
            ("WEB-5 Stuck door", "'web':1 '5':2 'stuck':3 'door':4 "),
            ("Ärger, ÉTÉ", "'arger':1 'ete':2 "),
            ("it's 障害だ", "'it':1 's':2 '障害':3 '害だ':4 'だ':5 "),
        ] {
            assert_eq!(literal(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn the_limits_of_the_index_are_kept() {
        let many = literal(&"a ".repeat(20_000));
        assert!(many.contains("'a':16382 'a':1 "));
        assert!(literal(&"word ".repeat(1_000_000)).matches("word").count() < 100_001);
    }

    #[test]
    fn a_search_names_all_its_terms_and_the_beginning_of_the_last_word_of_each() {
        let shown = |text: &str| query(&Search::of(text).unwrap());
        assert_eq!(shown("WEB-5 Tür").as_deref(), Some("('web' <-> '5') & ('tur':*)"));
        assert_eq!(shown("e-mail").as_deref(), Some("('e' <-> 'mail':*)"));
        assert_eq!(shown(" -- "), None);
    }
}
