//! Two versions beside each other during a rolling deploy: each migration leaves a schema that the
//! version before it can use.

use std::collections::BTreeMap;

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use crate::support::postgres::{Database, server};
use crate::support::skip::skipped;

/// The first migration is the whole schema; earlier versions had no PostgreSQL.
const FIRST: i64 = 26;

/// A column as a statement of another version meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    data_type: String,
    collation: Option<String>,
    /// An insertion must name it.
    is_required: bool,
}

/// All columns by table and name.
async fn columns(connection: &mut PgConnection) -> BTreeMap<(String, String), Column> {
    let sql = "SELECT table_name::text, column_name::text, data_type::text, \
               collation_name::text AS collation, \
               is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' \
               AND is_generated = 'NEVER' AS is_required \
               FROM information_schema.columns WHERE table_schema = 'public'";
    type Row = (String, String, String, Option<String>, bool);
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    rows.into_iter()
        .map(|(table, name, data_type, collation, is_required)| {
            ((table, name), Column { data_type, collation, is_required })
        })
        .collect()
}

/// Whether the last migration says that the version before it cannot use the schema.
async fn is_contraction(connection: &mut PgConnection, version: i64) -> bool {
    let sql = "SELECT value::bigint FROM settings WHERE name = 'readable_from'";
    let from: Option<i64> = sqlx::query_scalar(sql).fetch_optional(connection).await.unwrap();
    from.is_some_and(|from| from >= version)
}

/// What statements of the version before would not find or not know.
fn breaks(
    before: &BTreeMap<(String, String), Column>,
    after: &BTreeMap<(String, String), Column>,
) -> Vec<String> {
    let mut found = Vec::new();
    for ((table, name), column) in before {
        match after.get(&(table.clone(), name.clone())) {
            None => found.push(format!("{table}.{name} is gone")),
            Some(now) if now.data_type != column.data_type || now.collation != column.collation => {
                found.push(format!("{table}.{name} has another type"));
            }
            Some(now) if now.is_required && !column.is_required => {
                found.push(format!("{table}.{name} must be given now"));
            }
            Some(_) => {}
        }
    }
    let is_old = |table: &str| before.keys().any(|(known, _)| known == table);
    for ((table, name), column) in after {
        let is_new = !before.contains_key(&(table.clone(), name.clone()));
        if is_new && is_old(table) && column.is_required {
            found.push(format!("{table}.{name} is new and must be given"));
        }
    }
    found
}

#[tokio::test]
async fn each_migration_leaves_a_schema_that_the_version_before_can_use() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let database = Database::blank().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let all = sqlx::migrate!("migrations/postgres");
    let mut before = None;
    for migration in all.iter().filter(|migration| !migration.migration_type.is_down_migration()) {
        let version = migration.version;
        let up_to = all.iter().filter(|one| one.version <= version).cloned().collect();
        Migrator::with_migrations(up_to).run_direct(None, &mut connection, false).await.unwrap();
        let after = columns(&mut connection).await;
        if let Some(before) = before.replace(after.clone()) {
            let breaks = breaks(&before, &after);
            let is_told = is_contraction(&mut connection, version).await;
            assert!(
                breaks.is_empty() || is_told,
                "migration {version} breaks the version before it, which may still run: {breaks:?}"
            );
        } else {
            assert_eq!(version, FIRST);
        }
    }
    connection.close().await.unwrap();
}

/// The check itself: each way to break the version before is found.
#[test]
fn what_breaks_the_version_before_is_found() {
    let column = |is_required| Column { data_type: "text".into(), collation: None, is_required };
    let schema = |columns: &[(&str, &str, Column)]| -> BTreeMap<(String, String), Column> {
        let row = |(table, name, column): &(&str, &str, Column)| {
            ((table.to_string(), name.to_string()), column.clone())
        };
        columns.iter().map(row).collect()
    };
    let before = schema(&[("users", "id", column(true)), ("users", "name", column(false))]);
    let with = |more: &[(&str, &str, Column)]| {
        let mut after = before.clone();
        after.extend(schema(more));
        breaks(&before, &after)
    };
    let other = Column { data_type: "bigint".into(), ..column(false) };
    assert!(with(&[("users", "more", column(false))]).is_empty());
    assert!(with(&[("added", "id", column(true))]).is_empty());
    assert_eq!(with(&[("users", "more", column(true))]), ["users.more is new and must be given"]);
    assert_eq!(with(&[("users", "name", column(true))]), ["users.name must be given now"]);
    assert_eq!(with(&[("users", "name", other)]), ["users.name has another type"]);
    let after = schema(&[("users", "id", column(true))]);
    assert_eq!(breaks(&before, &after), ["users.name is gone"]);
}
