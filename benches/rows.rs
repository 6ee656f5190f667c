//! How many rows one statement should have: 1, 16, 64 or 256, on SQLite alone.
//!
//! `cargo bench --bench rows` writes the rows of a message to 100,000 users (a notification each,
//! and the head of each inbox) into the hub's own schema, with the hub's settings, in transactions
//! of 4,096. A statement's rows are either its `VALUES`, or are selected from them as the writer
//! does, which skips unbound rows. Every size has its turn in each of five rounds, on a copy of one
//! database, and the median is printed. CPU time is the writing thread's own. A run fails unless
//! all rows are written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "figures")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a bench")]

mod rig;

use std::path::Path;
use std::time::Instant;

use rig::median;
use rig::sqlite::open;
use rusqlite::{Connection, params_from_iter};
use rustix::time::{ClockId, clock_gettime};

/// Rows of one statement.
const SIZES: [usize; 4] = [1, 16, 64, 256];
/// Rows of one transaction: a chunk of a send, and more than any statement has.
const CHUNK: usize = 4_096;

/// How rows are passed to a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `INSERT … VALUES (…), (…)`.
    Values,
    /// `INSERT … SELECT … FROM (VALUES (…), (…)) WHERE …`, as the writer has it.
    Selected,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Values => "VALUES",
            Self::Selected => "SELECT",
        }
    }

    fn notifications(self, rows: usize) -> String {
        let into = "INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id)";
        match self {
            Self::Values => format!("{into} VALUES {}", list("(?, ?, ?, ?, ?)", rows)),
            Self::Selected => format!(
                "{into} SELECT column1, column2, column3, column4, column5 FROM (VALUES {}) \
                 WHERE column1 IS NOT NULL",
                list("(?, ?, ?, ?, ?)", rows)
            ),
        }
    }

    fn heads(self, rows: usize) -> String {
        let into = "INSERT INTO inboxes (user_id, last_seq, unread_count)";
        let rows = match self {
            Self::Values => format!("VALUES {}", list("(?, ?, ?)", rows)),
            Self::Selected => format!(
                "SELECT column1, column2, column3 FROM (VALUES {}) WHERE column1 IS NOT NULL",
                list("(?, ?, ?)", rows)
            ),
        };
        format!(
            "{into} {rows} ON CONFLICT (user_id) DO UPDATE SET last_seq = excluded.last_seq, \
             unread_count = excluded.unread_count"
        )
    }
}

fn list(row: &str, rows: usize) -> String {
    vec![row; rows].join(", ")
}

/// The result of one turn.
struct Figures {
    rows_s: f64,
    cpu_us: [f64; 2],
}

fn main() {
    // `cargo test --benches` runs this too: a short pass then, so that it keeps working.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (recipients, rounds) = if is_test { (5_000, 1) } else { (100_000, 5) };
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.db");
    prepare(&template, recipients);
    let forms = [Form::Values, Form::Selected];
    let turns: Vec<(Form, usize)> =
        forms.iter().flat_map(|form| SIZES.map(|size| (*form, size))).collect();
    let mut all: Vec<Vec<Figures>> = turns.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((form, size), figures) in turns.iter().zip(&mut all) {
            let copy = folder.path().join("turn.db");
            std::fs::copy(&template, &copy).unwrap();
            figures.push(write(&copy, *form, *size, recipients));
        }
    }
    println!(
        "{:>6} {:>15} {:>12} {:>20} {:>14}",
        "form", "rows/statement", "recipients/s", "notification CPU µs", "head CPU µs"
    );
    for ((form, size), figures) in turns.iter().zip(&all) {
        let middle = |pick: fn(&Figures) -> f64| median(figures.iter().map(pick).collect());
        println!(
            "{:>6} {size:>15} {:>12.0} {:>20.2} {:>14.2}",
            form.name(),
            middle(|one| one.rows_s),
            middle(|one| one.cpu_us[0]),
            middle(|one| one.cpu_us[1]),
        );
    }
}

/// A database in which every user has one notification.
fn prepare(file: &Path, recipients: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let accounts = runtime.block_on(rig::accounts(file, &[("student", recipients)]));
    assert_eq!(accounts[0].last().unwrap().id, recipients as i64);
    let connection = open(file);
    connection
        .execute_batch(
            "INSERT INTO messages (id, event, kind, title, body, action_url, metadata, priority, \
             created_at) VALUES (1, 'general', 'INFO', '', '', '', '{}', 'MEDIUM', 0); \
             INSERT INTO notifications (recipient_id, seq, id, changed_seq, message_id) \
             SELECT id, 1, id, 1, 1 FROM users; \
             INSERT INTO inboxes (user_id, last_seq, unread_count) SELECT id, 1, 1 FROM users \
             WHERE 1 ON CONFLICT (user_id) DO UPDATE SET last_seq = 1, unread_count = 1; \
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
}

fn write(file: &Path, form: Form, size: usize, recipients: usize) -> Figures {
    let connection = open(file);
    let ids: Vec<i64> = (1..=recipients as i64).collect();
    let begun = Instant::now();
    let mut cpu_us = [0.0; 2];
    for chunk in ids.chunks(CHUNK) {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let written = cpu_now_us();
        run(
            &connection,
            chunk,
            size,
            |rows| form.notifications(rows),
            |id| [id, 2, recipients as i64 + id, 2, 1],
        );
        let numbered = cpu_now_us();
        run(&connection, chunk, size, |rows| form.heads(rows), |id| [id, 2, 2]);
        cpu_us[0] += numbered - written;
        cpu_us[1] += cpu_now_us() - numbered;
        connection.execute_batch("COMMIT").unwrap();
    }
    let took = begun.elapsed().as_secs_f64();
    let count = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM notifications WHERE seq = 2"), recipients as i64);
    assert_eq!(count("SELECT sum(last_seq) FROM inboxes"), 2 * recipients as i64);
    let recipients = recipients as f64;
    Figures { rows_s: recipients / took, cpu_us: cpu_us.map(|us| us / recipients) }
}

/// Writes a row for each id, this many per statement. The last statement may be shorter.
fn run<const COLUMNS: usize>(
    connection: &Connection,
    ids: &[i64],
    size: usize,
    text: impl Fn(usize) -> String,
    row: impl Fn(i64) -> [i64; COLUMNS],
) {
    let write = |rows: &[i64], statement: &mut rusqlite::CachedStatement<'_>| {
        let cells = rows.iter().flat_map(|id| row(*id));
        statement.execute(params_from_iter(cells)).unwrap();
    };
    let whole = ids.len() / size * size;
    let mut statement = connection.prepare_cached(&text(size)).unwrap();
    for rows in ids[..whole].chunks(size) {
        write(rows, &mut statement);
    }
    if whole < ids.len() {
        let rows = &ids[whole..];
        write(rows, &mut connection.prepare_cached(&text(rows.len())).unwrap());
    }
}

fn cpu_now_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}
