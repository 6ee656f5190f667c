//! Inbox heads, as reconnecting clients ask for them in bursts.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::ids::{Seq, UserId};
use bellpull_domain::inbox::Head;
use bellpull_port::StoreError;

use super::crowd_reader::CrowdReader;
use super::deferred::Deferred;
use super::error::unavailable;
use super::multi_row::id_list;
use super::rows::json;

/// The heads of these users' inboxes; inboxes without a row are left out.
pub(super) async fn read(
    reader: Arc<CrowdReader>,
    deferred: Arc<Deferred>,
    users: Vec<UserId>,
) -> Result<HashMap<UserId, Head>, StoreError> {
    let ends = deferred.ends(&users);
    let sql = "SELECT json_group_array(json_array(user_id, last_seq, unread_count, delivered_seq, \
               forgotten_seq)) FROM inboxes WHERE user_id IN (SELECT value FROM json_each(?))";
    let users = id_list(users.into_iter().map(|user| user.0));
    let text = reader.text(sql, users).await.map_err(unavailable)?;
    let rows: Vec<(UserId, Seq, i64, Seq, Seq)> = json(&text)?;
    let head = |(user, last_seq, unread_count, delivered_seq, forgotten_seq)| {
        (user, Head { last_seq, unread_count, delivered_seq, forgotten_seq }.mended())
    };
    let mut heads: HashMap<UserId, Head> = rows.into_iter().map(head).collect();
    for (user, end) in ends {
        end.complete(heads.entry(user).or_default());
    }
    Ok(heads)
}
