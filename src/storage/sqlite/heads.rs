//! Inbox heads, as reconnecting clients ask for them in bursts.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_port::StoreError;

use super::deferred::Deferred;
use super::readers::{Readers, SHORT_READ_MAX};
use crate::engine::{ReadRows, Row, Statement, sql, values};
use crate::rows::int;

/// The heads of these users' inboxes; inboxes without a row are left out.
pub(super) async fn read(
    readers: Arc<Readers>,
    deferred: Arc<Deferred>,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Head>, StoreError> {
    let ends = deferred.ends(&users);
    let sql = sql!(
        "SELECT user_id, last_seq, unread_count, delivered_seq, forgotten_seq FROM inboxes \
         WHERE user_id IN (SELECT value FROM json_each($1))"
    );
    let users: Vec<i64> = users.into_iter().map(|user| user.0).collect();
    let read = ReadRows { statement: Statement::new(sql, values![users]), decode: owned_head };
    let rows = readers.run(read, SHORT_READ_MAX).await?;
    let mut heads: HashMap<UserId, Head> = rows.into_iter().collect();
    for (user, end) in ends {
        end.complete(heads.entry(user).or_default());
    }
    Ok(heads)
}

fn owned_head(row: &Row) -> Result<(UserId, Head), StoreError> {
    Ok((UserId(int(row, "user_id")?), head(row)?))
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
