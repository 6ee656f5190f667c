//! Accounts that are read together, as reconnecting clients ask for them in bursts.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::address::Addresses;
use bellpull_domain::channel::Channel;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::{Role, User};
use bellpull_port::StoreError;
use compact_str::CompactString as Text;

use super::readers::Readers;
use crate::engine::{ReadRows, Row, Statement, sql, values};
use crate::rows::{json, origin, text, timestamp};

/// A row of [`read`]'s columns.
type AccountRow = (UserId, Text, Text, Role, i64, i64, i64, Option<i64>, i64);

/// The accounts with these ids; ids that do not exist are left out.
pub(super) async fn read(
    readers: Arc<Readers>,
    ids: Vec<UserId>,
) -> Result<HashMap<UserId, User>, StoreError> {
    // As one JSON text: a row with this many columns costs more. So are the addresses, on a line of
    // their own: a subquery for each account costs more, too.
    let sql = sql!(
        "SELECT (SELECT json_group_array(json_array(id, username, full_name, role, is_active, \
         email_verified, created_at, claims_at, tokens_from)) FROM users \
         WHERE id IN (SELECT value FROM json_each($1))) || char(10) || \
         (SELECT json_group_array(json_array(user_id, channel, address)) FROM addresses \
         WHERE user_id IN (SELECT value FROM json_each($1))) AS accounts"
    );
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    let read = ReadRows { statement: Statement::new(sql, values![ids]), decode: accounts };
    Ok(readers.run(read).await?.pop().unwrap_or_default())
}

fn accounts(row: &Row) -> Result<HashMap<UserId, User>, StoreError> {
    let found = text(row, "accounts")?;
    let (rows, addresses) = found.split_once('\n').unwrap_or((found, "[]"));
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
        let (is_active, is_email_verified) = (active != 0, known != 0);
        let user = User {
            id,
            username,
            full_name,
            role,
            addresses,
            is_active,
            is_email_verified,
            created_at: timestamp(ms)?,
            origin: origin(claims_ms)?,
            tokens_from: timestamp(tokens_ms)?,
        };
        Ok((id, user))
    };
    rows.into_iter().map(account).collect()
}
