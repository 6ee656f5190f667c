//! One text of a statement for both databases.
//!
//! Parameters are `$1`, `$2` and so on. Where the databases differ, both ways stand in braces,
//! SQLite's first: `UPDATE … {iif($2, 1, 0)|CASE WHEN $2 THEN 1 ELSE 0 END}`. A statement that one
//! of them does not need is empty there, and not run: `{|LOCK TABLE escalations}`.

use std::sync::OnceLock;

/// A statement; made by [`sql!`].
#[derive(Debug)]
pub(in super::super) struct Sql {
    text: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Sql {
    pub(in super::super) const fn new(text: &'static str) -> Self {
        Self { text, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// As SQLite reads it, where a number follows `?` and a name follows `$`.
    pub(in super::super) fn sqlite(&'static self) -> &'static str {
        self.sqlite.get_or_init(|| numbered(&chosen(self.text, |first, _| first)))
    }

    pub(in super::super) fn postgres(&'static self) -> &'static str {
        self.postgres.get_or_init(|| chosen(self.text, |_, second| second))
    }
}

/// A text as SQLite and as PostgreSQL read it.
pub(super) fn both(text: &str) -> (String, String) {
    (numbered(&chosen(text, |first, _| first)), chosen(text, |_, second| second))
}

/// The text with one of the ways of each pair of braces; braces without two ways are a text's own.
fn chosen<'t>(text: &'t str, choose: fn(&'t str, &'t str) -> &'t str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        whole.push_str(before);
        let Some((inside, next)) = after.split_once('}') else {
            whole.push('{');
            rest = after;
            continue;
        };
        match separator(inside) {
            Some(at) => whole.push_str(choose(&inside[..at], &inside[at + 1..])),
            None => whole.extend(["{", inside, "}"]),
        }
        rest = next;
    }
    whole.push_str(rest);
    whole
}

/// Where the second way begins. Two lines in a row join texts.
fn separator(inside: &str) -> Option<usize> {
    let lines = inside.as_bytes();
    let is_one = |at: usize| {
        lines[at] == b'|' && lines.get(at + 1) != Some(&b'|') && (at == 0 || lines[at - 1] != b'|')
    };
    (0..lines.len()).find(|at| is_one(*at))
}

fn numbered(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut numbered = String::with_capacity(text.len());
    while let Some(char) = chars.next() {
        let is_parameter = char == '$' && chars.peek().is_some_and(char::is_ascii_digit);
        numbered.push(if is_parameter { '?' } else { char });
    }
    numbered
}

/// A statement of this text, or of these parts of it.
macro_rules! sql {
    ($($text:expr),+ $(,)?) => {{
        static SQL: $crate::engine::Sql = $crate::engine::Sql::new(concat!($($text),+));
        &SQL
    }};
}

/// Whether a value is one of a list of ids, which is this parameter.
macro_rules! among {
    ($parameter:literal) => {
        concat!("{IN (SELECT value FROM json_each(", $parameter, "))|= ANY(", $parameter, ")}")
    };
}

/// Milliseconds since 1970 by the database's clock, now and not at the transaction's begin: it may
/// have waited for a lock.
macro_rules! now_ms {
    () => {
        "{CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)\
         |(extract(epoch FROM clock_timestamp()) * 1000)::bigint}"
    };
}

pub(in super::super) use {among, now_ms, sql};

#[cfg(test)]
mod tests {
    #[test]
    fn each_database_reads_its_own_way() {
        let both = sql!(
            "SELECT '{}', a || $1 FROM t WHERE id ",
            among!("$2"),
            " AND b = {c||'x'|d} LIMIT $10{| FOR UPDATE}"
        );
        assert_eq!(
            both.sqlite(),
            "SELECT '{}', a || ?1 FROM t WHERE id IN (SELECT value FROM json_each(?2)) \
             AND b = c||'x' LIMIT ?10"
        );
        assert_eq!(
            both.postgres(),
            "SELECT '{}', a || $1 FROM t WHERE id = ANY($2) AND b = d LIMIT $10 FOR UPDATE"
        );
    }
}
