//! Digests: what is leased for one account's digest goes out in one e-mail.
//!
//! What an e-mail has gathered is fixed by its first attempt: it keeps its `Message-ID` over
//! retries, and a server that has taken the first of two attempts may drop the second unread. So
//! what came meanwhile goes out with the next one.

use std::collections::BTreeMap;

use bellpull_actors::domain::ids::UserId;
use serde::Deserialize;
use sqlx::SqliteConnection;

use super::super::multi_row::{Cell, MultiRow, id_list};
use super::super::rows::json;
use super::group::Failure;
use super::outbox::{Lease, LeasedRow, Part};

/// The most letters of one e-mail: more than anybody reads. The others follow in another one.
const LETTERS_MAX: usize = 100;

/// What the others of a digest are leased with: its name, and until when.
static GATHER: MultiRow = MultiRow::new(
    "UPDATE deliveries SET digest_id = v.column2, leased_until = v.column3, \
     leases = leases + v.column4 FROM ",
    4,
    " AS v WHERE id = v.column1",
);

/// What else is due for these accounts' digests, the oldest first, as [`Waiting`] has it.
const WAITING: &str = "SELECT json_group_array(json_array(d.recipient_id, d.digest_id, d.id, \
    d.notification_id, d.leases + 1, n.message_id)) FROM (SELECT id FROM deliveries \
    INDEXED BY deliveries_digest WHERE recipient_id IN (SELECT value FROM json_each(?1)) \
    AND status = 'QUEUED' AND rule = 'digest' AND leased_until IS NULL AND due_at <= ?2 ORDER BY id LIMIT ?3) p \
    CROSS JOIN deliveries d ON d.id = p.id CROSS JOIN notifications n ON n.id = d.notification_id";

#[derive(Debug, Deserialize)]
struct Waiting {
    recipient: UserId,
    digest: Option<i64>,
    part: Part,
}

/// Makes one row of those that go out in one e-mail, with all that is due for it.
pub(super) async fn gather(
    connection: &mut SqliteConnection,
    wanted: &Lease,
    leased: Vec<LeasedRow>,
) -> Result<Vec<LeasedRow>, Failure> {
    let (digests, mut rows): (Vec<_>, Vec<_>) = leased.into_iter().partition(|row| row.is_digest);
    if digests.is_empty() {
        return Ok(rows);
    }
    let waiting = waiting(connection, wanted, &digests).await?;
    let mut gathered = Gathered::default();
    digests.into_iter().for_each(|row| gathered.begin(row));
    waiting.into_iter().for_each(|one| gathered.join(one));
    let until = wanted.until.as_millisecond();
    let (digests, cells) = gathered.end(until);
    GATHER.run(connection, cells).await?;
    rows.extend(digests);
    rows.sort_unstable_by_key(|row| (row.due_at_ms, row.id));
    Ok(rows)
}

async fn waiting(
    connection: &mut SqliteConnection,
    wanted: &Lease,
    digests: &[LeasedRow],
) -> Result<Vec<Waiting>, Failure> {
    let room = i64::try_from(digests.len() * LETTERS_MAX).unwrap_or(i64::MAX);
    let text: String = sqlx::query_scalar(WAITING)
        .bind(id_list(digests.iter().map(|row| row.recipient.0)))
        .bind(wanted.now.as_millisecond())
        .bind(room)
        .fetch_one(connection)
        .await?;
    let rows: Vec<(UserId, Option<i64>, _, _, u32, i64)> = json(&text)?;
    let row = |(recipient, digest, id, notification, attempt, message_id)| Waiting {
        recipient,
        digest,
        part: Part { id, notification, attempt, message_id },
    };
    Ok(rows.into_iter().map(row).collect())
}

/// E-mails by account and name; those of a first attempt have none yet.
#[derive(Debug, Default)]
struct Gathered {
    begun: BTreeMap<(UserId, Option<i64>), Vec<LeasedRow>>,
    joined: BTreeMap<(UserId, Option<i64>), Vec<Part>>,
}

impl Gathered {
    fn begin(&mut self, row: LeasedRow) {
        self.begun.entry((row.recipient, row.digest_id)).or_default().push(row);
    }

    fn join(&mut self, one: Waiting) {
        let key = (one.recipient, one.digest);
        if self.begun.contains_key(&key) {
            self.joined.entry(key).or_default().push(one.part);
        }
    }

    /// The e-mails, and what is to be written of all that they gather.
    fn end(mut self, until_ms: i64) -> (Vec<LeasedRow>, Vec<Cell>) {
        let (mut digests, mut cells) = (Vec::new(), Vec::new());
        for (key, rows) in self.begun {
            let joined = self.joined.remove(&key).unwrap_or_default();
            // What is leased already is not leased again, and may not be left out.
            let room = LETTERS_MAX.saturating_sub(rows.len());
            let joined = joined.into_iter().take(room).map(|part| (part, 1));
            let mut parts: Vec<(Part, i64)> =
                rows.iter().map(|row| (row.part(), 0)).chain(joined).collect();
            parts.sort_unstable_by_key(|(part, _)| part.id);
            let Some(mut digest) = rows.into_iter().next() else { continue };
            let oldest = parts.first().map_or(digest.id, |(part, _)| part.id);
            let name = key.1.unwrap_or(oldest.0);
            for (part, leases) in &parts {
                cells.extend([part.id.0, name, until_ms, *leases].map(Cell::Int));
            }
            let mut parts = parts.into_iter().map(|(part, _)| part);
            let Some(head) = parts.next() else { continue };
            (digest.id, digest.notification) = (head.id, head.notification);
            (digest.attempt, digest.message_id) = (head.attempt, head.message_id);
            digest.with = parts.collect();
            digests.push(digest);
        }
        (digests, cells)
    }
}
