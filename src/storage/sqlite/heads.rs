//! Inbox heads, as reconnecting clients ask for them in bursts.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_port::StoreError;

use super::deferred::Deferred;
use super::readers::Readers;
use crate::engine::{ReadRows, Row, Statement, sql, values};
use crate::rows::{int, json, text};

/// The heads of these users' inboxes; inboxes without a row are left out.
pub(super) async fn read(
    readers: Arc<Readers>,
    deferred: Arc<Deferred>,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Head>, StoreError> {
    let ends = deferred.ends(&users);
    // As one JSON text: a row each costs more.
    let sql = sql!(
        "SELECT json_group_array(json_array(user_id, last_seq, unread_count, delivered_seq, \
         forgotten_seq)) AS heads FROM inboxes WHERE user_id IN (SELECT value FROM json_each($1))"
    );
    let users: Vec<i64> = users.into_iter().map(|user| user.0).collect();
    let read = ReadRows { statement: Statement::new(sql, values![users]), decode: heads };
    let mut heads = readers.run(read).await?.pop().unwrap_or_default();
    for (user, end) in ends {
        end.complete(heads.entry(user).or_default());
    }
    Ok(heads)
}

fn heads(row: &Row) -> Result<HashMap<UserId, Head>, StoreError> {
    let rows: Vec<(UserId, Seq, i64, Seq, Seq)> = json(text(row, "heads")?)?;
    let head = |(user, last_seq, unread_count, delivered_seq, forgotten_seq)| {
        (user, Head { last_seq, unread_count, delivered_seq, forgotten_seq }.mended())
    };
    Ok(rows.into_iter().map(head).collect())
}

/// The state of an inbox, of its columns.
pub(super) fn head(row: &Row) -> Result<Head, StoreError> {
    Ok(Head {
        last_seq: Seq(int(row, "last_seq")?),
        unread_count: int(row, "unread_count")?,
        delivered_seq: Seq(int(row, "delivered_seq")?),
        forgotten_seq: Seq(int(row, "forgotten_seq")?),
    }
    .mended())
}
