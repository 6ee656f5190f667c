//! What in a database is the hub's: names that its migrations give, and entries of dumps.
//!
//! A schema is often shared: with a framework's tables, an administrator's notes, extensions. Those
//! are neither dumped nor restored: the owner of the hub's tables need not own, or may not read,
//! any other.

use super::connect::migrations;

/// The kinds of entries of a dump that the hub's tables consist of.
const KINDS: [&str; 11] = [
    "TABLE DATA",
    "TABLE",
    "SEQUENCE SET",
    "SEQUENCE OWNED BY",
    "SEQUENCE",
    "DEFAULT",
    "FK CONSTRAINT",
    "CONSTRAINT",
    "INDEX",
    "TRIGGER",
    "FUNCTION",
];

/// Names, without a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnObjects {
    /// Tables, with `sqlx`'s.
    pub(super) tables: Vec<String>,
    /// Sequences that belong to no column.
    pub(super) sequences: Vec<String>,
    functions: Vec<String>,
}

impl OwnObjects {
    /// Of all versions up to this one.
    pub(super) fn read() -> Self {
        let migrator = migrations();
        let sql = migrator.iter().map(|migration| migration.sql.as_str());
        let lines: Vec<&str> = sql.flat_map(str::lines).collect();
        let named = |begin: &str| {
            let rest = lines.iter().filter_map(|line| line.trim_start().strip_prefix(begin));
            let rest = rest.map(|rest| rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest));
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            rest.map(|rest| rest.chars().take_while(|letter| is_name(*letter)).collect::<String>())
                .collect::<Vec<_>>()
        };
        let mut tables = named("CREATE TABLE ");
        tables.extend(named("CREATE UNLOGGED TABLE "));
        tables.push("_sqlx_migrations".to_owned());
        Self {
            tables,
            sequences: named("CREATE SEQUENCE "),
            functions: [named("CREATE FUNCTION "), named("CREATE OR REPLACE FUNCTION ")].concat(),
        }
    }

    /// The schema of a line of `pg_restore --list`, if it is of the hub: `ID; OID OID KIND SCHEMA
    /// NAME OWNER`. Names of tables are not compared: dumps of the hub have no others.
    pub(super) fn schema_of<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (_, rest) = line.split_once("; ")?;
        let entry = rest.splitn(3, ' ').nth(2)?;
        let rest_of = |kind: &str| entry.strip_prefix(kind)?.strip_prefix(' ');
        let (kind, rest) =
            KINDS.into_iter().find_map(|kind| rest_of(kind).map(|rest| (kind, rest)))?;
        let (schema, rest) = rest.split_once(' ')?;
        let name = rest.split(' ').next().unwrap_or_default();
        let is_own = match kind {
            "FUNCTION" => {
                let name = name.split('(').next().unwrap_or_default();
                self.functions.iter().any(|own| own == name)
            }
            "TABLE" | "TABLE DATA" => self.tables.iter().any(|own| own == name),
            _ => true,
        };
        is_own.then_some(schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_others_are_told_apart() {
        let own = OwnObjects::read();
        assert!(own.tables.iter().any(|name| name == "inboxes"), "{own:?}");
        for (line, is_own) in [
            ("217; 1259 16401 TABLE public users bellpull", true),
            ("3456; 0 16401 TABLE DATA public users bellpull", true),
            ("217; 1259 16401 TABLE public auth_user django", false),
            ("3456; 0 16401 TABLE DATA public auth_user django", false),
            ("214; 1259 16386 TABLE public _sqlx_migrations bellpull", true),
            ("3300; 2606 16410 CONSTRAINT public users users_pkey bellpull", true),
            ("3301; 2606 16410 FK CONSTRAINT public logins logins_user_id_fkey bellpull", true),
            ("3302; 1259 16411 INDEX public users_email bellpull", true),
            ("3303; 2620 16412 TRIGGER public users users_inbox bellpull", true),
            ("250; 1255 16400 FUNCTION public create_inbox() bellpull", true),
            ("251; 1255 16400 FUNCTION public theirs(integer, text) postgres", false),
            ("216; 1259 16400 SEQUENCE public users_id_seq bellpull", true),
            ("3500; 0 0 SEQUENCE SET public users_id_seq bellpull", true),
            ("2; 3079 16384 EXTENSION - pg_stat_statements ", false),
            ("3501; 0 0 COMMENT - EXTENSION pg_stat_statements ", false),
            ("5; 2615 2200 SCHEMA - public pg_database_owner", false),
            ("3502; 0 0 ACL - SCHEMA public pg_database_owner", false),
            (";", false),
            ("; Archive created at 2026-11-25", false),
            ("", false),
        ] {
            assert_eq!(own.schema_of(line), is_own.then_some("public"), "{line}");
        }
    }
}
