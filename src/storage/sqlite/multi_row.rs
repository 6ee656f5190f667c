//! Statements for many rows at once.
//!
//! The rows of a statement are its `VALUES`. Their number is rounded up to a power of two, so that
//! few different texts are prepared; unbound rows are NULL and skipped.

use std::borrow::Cow;
use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::types::{Null, ToSql, ToSqlOutput};

/// The most rows of one statement; the columns times this stay below SQLite's 32,766 parameters.
const ROWS_MAX: usize = 256;
/// 1, 2, 4, … 256.
const SIZES: usize = 9;

/// A value of a row.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(&'a [u8]),
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}

impl From<String> for Cell<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::from(Null),
            Self::Int(value) => ToSqlOutput::from(*value),
            Self::Text(value) => ToSqlOutput::from(&**value),
            Self::Blob(value) => ToSqlOutput::from(*value),
        })
    }
}

/// A statement around `VALUES`, whose columns are called `column1` and so on.
///
/// Its text must skip rows whose `column1` is NULL.
#[derive(Debug)]
pub(super) struct MultiRow {
    before: &'static str,
    columns: usize,
    after: &'static str,
    texts: [OnceLock<String>; SIZES],
}

impl MultiRow {
    /// `before (VALUES …) after`.
    pub(super) const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        Self { before, columns, after, texts: [const { OnceLock::new() }; SIZES] }
    }

    fn text(&'static self, rows: usize) -> &'static str {
        let size = rows.next_power_of_two();
        let place = usize::try_from(size.trailing_zeros()).unwrap_or(SIZES - 1).min(SIZES - 1);
        self.texts[place].get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns].join(","));
            format!("{}(VALUES {}){}", self.before, vec![row; size].join(","), self.after)
        })
    }

    /// Runs it for all rows, whose values follow each other in `cells`. Without rows, nothing is
    /// run.
    pub(super) fn run(
        &'static self,
        connection: &Connection,
        cells: &[Cell<'_>],
    ) -> rusqlite::Result<()> {
        for rows in cells.chunks(ROWS_MAX * self.columns) {
            let mut statement = connection.prepare_cached(self.text(rows.len() / self.columns))?;
            for (place, cell) in (1_usize..).zip(rows) {
                statement.raw_bind_parameter(place, cell)?;
            }
            statement.raw_execute()?;
        }
        Ok(())
    }
}

/// Ids as a JSON array for `json_each`: a list of any length as one parameter.
pub(super) fn id_list(ids: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("[");
    for id in ids {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&id.to_string());
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_texts_serve_any_number_of_rows() {
        static PAIRS: MultiRow = MultiRow::new("INSERT ", 2, " WHERE column1 IS NOT NULL");
        assert_eq!(PAIRS.text(1), "INSERT (VALUES (?,?)) WHERE column1 IS NOT NULL");
        assert_eq!(PAIRS.text(3), PAIRS.text(4));
        assert_ne!(PAIRS.text(4), PAIRS.text(5));
        assert_eq!(PAIRS.text(ROWS_MAX).matches('?').count(), 512);
    }

    #[test]
    fn ids_are_one_parameter() {
        assert_eq!(id_list([]), "[]");
        assert_eq!(id_list([1, -2, 3]), "[1,-2,3]");
    }
}
