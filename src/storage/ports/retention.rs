//! Retention, in small steps: each locks and reads the next rows of one kind in the order of their
//! time, and removes those that [`retention`] selects. Rows that another transaction has locked are
//! passed over: several nodes may be at it, and none removes a row twice.

use async_trait::async_trait;
use bellpull_domain::ids::{DeliveryId, NotificationId, Seq, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::plan::retention::{
    self, OldDelivery, Tombstone, TombstoneRemoval, UnusedMessage,
};
use bellpull_port::retention::{Forgotten, Old, Position};
use bellpull_port::{RetentionStore, StoreError};
use jiff::Timestamp;

use crate::engine::{Db, Dialect, Engine, Failure, Operation, Row, Sql, among, sql, values};
use crate::rows::{Columns, get_name, get_time, int, optional_timestamp, to_json};

#[async_trait]
impl<D: Dialect> RetentionStore for Engine<D> {
    async fn forget(
        &self,
        what: Old,
        before: Timestamp,
        from: Position,
        limit: u32,
    ) -> Result<Forgotten, StoreError> {
        self.write(Step { what, before, from, limit }).await
    }

    async fn renew_words(&self, limit: u32) -> Result<u64, StoreError> {
        Dialect::renew_words(&**self, limit).await
    }
}

/// A step of a scan.
#[derive(Debug)]
struct Step {
    what: Old,
    before: Timestamp,
    from: Position,
    limit: u32,
}

impl Operation for Step {
    type Answer = Forgotten;

    fn can_wait(&self) -> bool {
        true
    }

    async fn run(&self, db: &mut Db<'_>) -> Result<Forgotten, Failure> {
        match self.what {
            Old::Deliveries => self.deliveries(db).await,
            Old::Tombstones => self.tombstones(db).await,
            Old::Messages => self.messages(db).await,
            Old::Audit => {
                let sql = sql!(
                    "DELETE FROM audit_log WHERE id {IN (|= ANY (ARRAY (}SELECT id \
                     FROM audit_log{ INDEXED BY audit_log_at|} WHERE at < $1 \
                     ORDER BY at, id LIMIT $2{)| FOR UPDATE SKIP LOCKED))}"
                );
                self.all_before(db, sql).await
            }
            // One whose refresh token has expired has few access tokens left, if any.
            Old::Logins => {
                let sql = sql!(
                    "DELETE FROM logins WHERE id {IN (|= ANY (ARRAY (}SELECT id \
                     FROM logins{ INDEXED BY logins_expired|} WHERE expires_at < $1 \
                     AND access_until < $1 ORDER BY expires_at, id \
                     LIMIT $2{)| FOR UPDATE SKIP LOCKED))}"
                );
                self.all_before(db, sql).await
            }
        }
    }
}

impl Step {
    /// In the order of their time, by an index: ids say nothing about it.
    async fn deliveries(&self, db: &mut Db<'_>) -> Result<Forgotten, Failure> {
        let Position([due_at, last, _]) = self.from;
        let sql = sql!(
            "SELECT id, due_at, sent_at, status FROM deliveries{ INDEXED BY deliveries_age|} \
             WHERE (due_at, id) > ($1, $2) ORDER BY due_at, id \
             LIMIT $3{| FOR UPDATE SKIP LOCKED}"
        );
        let found = db.all(sql, values![due_at, last, self.limit], delivery).await?;
        let removal = retention::deliveries(&found, self.before, self.limit);
        let ids: Vec<i64> = removal.ids.iter().map(|id| id.0).collect();
        let attempts = sql!("DELETE FROM delivery_attempts WHERE delivery_id ", among!("$1"));
        remove(db, attempts, &ids).await?;
        remove(db, sql!("DELETE FROM deliveries WHERE id ", among!("$1")), &ids).await?;
        Ok(removal.outcome())
    }

    /// No event changes a tombstone, so its row may be locked before its inbox.
    async fn tombstones(&self, db: &mut Db<'_>) -> Result<Forgotten, Failure> {
        let Position([deleted_at, recipient, seq]) = self.from;
        let sql = sql!(
            "SELECT n.deleted_at, n.recipient_id, n.seq, n.changed_seq, n.id, n.message_id, \
             EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = n.id) AS is_needed \
             FROM notifications n{ INDEXED BY notifications_deleted|} \
             WHERE n.deleted_at IS NOT NULL AND n.deleted_at < $4 \
             AND (n.deleted_at, n.recipient_id, n.seq) > ($1, $2, $3) \
             ORDER BY n.deleted_at, n.recipient_id, n.seq \
             LIMIT $5{| FOR UPDATE OF n SKIP LOCKED}"
        );
        let values = values![deleted_at, recipient, seq, self.before, self.limit];
        let found = db.all(sql, values, tombstone).await?;
        let TombstoneRemoval { removal, forgotten, copies } =
            retention::tombstones(&found, self.limit);
        if !removal.ids.is_empty() {
            let forgotten: Vec<_> =
                forgotten.into_iter().map(|(user, seq)| (user.0, seq.0)).collect();
            raise_forgotten(db, &forgotten).await?;
            lower_copies(db, &copies.into_iter().collect::<Vec<_>>()).await?;
        }
        let ids: Vec<i64> = removal.ids.iter().map(|id| id.0).collect();
        remove(db, sql!("DELETE FROM notifications WHERE id ", among!("$1")), &ids).await?;
        Ok(removal.outcome())
    }

    /// Messages of sends that are active or referenced by a key stay, and are few. A message of a
    /// project's webhooks is removed with the last of its deliveries, which name it.
    async fn messages(&self, db: &mut Db<'_>) -> Result<Forgotten, Failure> {
        let Position([created_at, last, _]) = self.from;
        let sql = sql!(
            "SELECT m.created_at, m.id, EXISTS (SELECT 1 FROM sends s \
             WHERE s.message_id = m.id AND (s.status = 'ACTIVE' \
             OR EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.send_id = s.id))) \
             OR EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = m.id) AS is_needed \
             FROM messages m{ INDEXED BY messages_free|} \
             WHERE m.copies = 0 AND m.created_at < $3 AND (m.created_at, m.id) > ($1, $2) \
             ORDER BY m.created_at, m.id LIMIT $4{| FOR UPDATE OF m SKIP LOCKED}"
        );
        let values = values![created_at, last, self.before, self.limit];
        let found = db.all(sql, values, message).await?;
        let removal = retention::messages(&found, self.limit);
        let sends = sql!("DELETE FROM sends WHERE message_id ", among!("$1"));
        remove(db, sends, &removal.ids).await?;
        remove(db, sql!("DELETE FROM messages WHERE id ", among!("$1")), &removal.ids).await?;
        Ok(removal.outcome())
    }

    /// All of them may be removed.
    async fn all_before(&self, db: &mut Db<'_>, sql: &'static Sql) -> Result<Forgotten, Failure> {
        let removed = db.execute(sql, values![self.before, self.limit]).await?;
        let is_all = removed < u64::from(self.limit);
        Ok(Forgotten { removed, next: (!is_all).then_some(self.from) })
    }
}

/// Pairs of numbers `v`, from a JSON array of them: `a` and `b`.
macro_rules! pairs {
    () => {
        "(SELECT {e.value ->> 0|(e.value ->> 0)::bigint} AS a, \
         {e.value ->> 1|(e.value ->> 1)::bigint} AS b \
         FROM {json_each($1) e|jsonb_array_elements($1::jsonb) AS e (value)}) AS v"
    };
}

/// Inboxes have lost rows: of each the highest change.
async fn raise_forgotten(db: &mut Db<'_>, pairs: &[(i64, i64)]) -> Result<(), Failure> {
    let users = pairs.iter().map(|(user, _)| *user).collect::<Vec<_>>();
    let held =
        sql!("{|SELECT user_id FROM inboxes WHERE user_id = ANY ($1) ORDER BY user_id FOR UPDATE}");
    db.execute(held, values![users]).await?;
    let sql = sql!(
        "UPDATE inboxes SET forgotten_seq = {max|greatest}(forgotten_seq, v.b) FROM ",
        pairs!(),
        " WHERE user_id = v.a"
    );
    db.execute(sql, values![to_json(&pairs)?]).await.map(drop)
}

/// Rows of messages were removed: of each so many.
async fn lower_copies(db: &mut Db<'_>, pairs: &[(i64, i64)]) -> Result<(), Failure> {
    let messages = pairs.iter().map(|(message, _)| *message).collect::<Vec<_>>();
    let held = sql!("{|SELECT id FROM messages WHERE id = ANY ($1) ORDER BY id FOR UPDATE}");
    db.execute(held, values![messages]).await?;
    let sql = sql!(
        "UPDATE messages SET copies = {max|greatest}(copies - v.b, 0) FROM ",
        pairs!(),
        " WHERE id = v.a"
    );
    db.execute(sql, values![to_json(&pairs)?]).await.map(drop)
}

async fn remove(db: &mut Db<'_>, sql: &'static Sql, ids: &[i64]) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    db.execute(sql, values![ids.to_vec()]).await.map(drop)
}

fn delivery(row: &Row) -> Result<OldDelivery, StoreError> {
    Ok(OldDelivery {
        id: DeliveryId(int(row, "id")?),
        due_at: get_time(row, "due_at")?,
        sent_at: optional_timestamp(row.int("sent_at")?)?,
        status: get_name(row, "status", DeliveryStatus::from_name)?,
    })
}

fn tombstone(row: &Row) -> Result<Tombstone, StoreError> {
    Ok(Tombstone {
        deleted_at: get_time(row, "deleted_at")?,
        recipient: UserId(int(row, "recipient_id")?),
        seq: Seq(int(row, "seq")?),
        changed_seq: Seq(int(row, "changed_seq")?),
        id: NotificationId(int(row, "id")?),
        message: int(row, "message_id")?,
        has_deliveries: row.flag("is_needed")?,
    })
}

fn message(row: &Row) -> Result<UnusedMessage, StoreError> {
    Ok(UnusedMessage {
        id: int(row, "id")?,
        created_at: get_time(row, "created_at")?,
        is_needed: row.flag("is_needed")?,
    })
}
