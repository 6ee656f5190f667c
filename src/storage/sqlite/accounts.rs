//! Accounts that are read together.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::address::Addresses;
use bellpull_domain::channel::Channel;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::{Role, User};
use bellpull_port::StoreError;
use compact_str::CompactString as Text;

use super::crowd_reader::CrowdReader;
use super::error::unavailable;
use super::multi_row::id_list;
use super::rows::{json, origin, timestamp};

/// A row of [`read`]'s columns.
type AccountRow = (UserId, Text, Text, Role, i64, i64, i64, Option<i64>, i64);

/// The accounts with these ids; ids that do not exist are left out.
pub(super) async fn read(
    reader: Arc<CrowdReader>,
    ids: Vec<UserId>,
) -> Result<HashMap<UserId, User>, StoreError> {
    // As one JSON text: `sqlx` makes twelve allocations for a row with this many columns.
    // So are the addresses, on a line of their own: a subquery for each account costs more.
    let sql = "SELECT (SELECT json_group_array(json_array(id, username, full_name, role, \
               is_active, email_verified, created_at, claims_at, tokens_from)) FROM users \
               WHERE id IN (SELECT value FROM json_each(?1))) || char(10) || \
               (SELECT json_group_array(json_array(user_id, channel, address)) FROM addresses \
               WHERE user_id IN (SELECT value FROM json_each(?1)))";
    let ids = id_list(ids.into_iter().map(|id| id.0));
    let text = reader.text(sql, ids).await.map_err(unavailable)?;
    let (rows, addresses) = text.split_once('\n').unwrap_or((&text, "[]"));
    let rows: Vec<AccountRow> = json(rows)?;
    let addresses: Vec<(UserId, Text, Text)> = json(addresses)?;
    let mut by_user: HashMap<UserId, Vec<(Channel, Text)>> = HashMap::new();
    for (user, channel, address) in addresses {
        // A later version of the hub may have other channels.
        if let Some(channel) = Channel::from_name(&channel) {
            by_user.entry(user).or_default().push((channel, address));
        }
    }
    let account = |row| {
        let (id, username, full_name, role, active, known, ms, claims_ms, tokens_ms) = row;
        let addresses = by_user.remove(&id).map_or_else(Addresses::default, Addresses::of);
        let created_at = timestamp(ms)?;
        let (is_active, is_email_verified) = (active != 0, known != 0);
        let user = User {
            id,
            username,
            full_name,
            role,
            addresses,
            is_active,
            is_email_verified,
            created_at,
            origin: origin(claims_ms)?,
            tokens_from: timestamp(tokens_ms)?,
        };
        Ok((id, user))
    };
    rows.into_iter().map(account).collect()
}
