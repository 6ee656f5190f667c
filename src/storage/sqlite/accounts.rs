//! Accounts that are read together, as reconnecting clients ask for them in bursts.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::address::Addresses;
use bellpull_domain::channel::Channel;
use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;
use bellpull_port::StoreError;
use compact_str::CompactString as Text;

use super::readers::{Readers, SHORT_READ_MAX};
use crate::engine::{Db, Failure, Operation, Row, sql, values};
use crate::rows::{int, text, user};

/// The accounts with these ids; ids that do not exist are left out.
pub(super) async fn read(
    readers: Arc<Readers>,
    ids: Vec<UserId>,
) -> Result<HashMap<UserId, User>, StoreError> {
    readers.run(Read(ids.into_iter().map(|id| id.0).collect()), SHORT_READ_MAX).await
}

struct Read(Vec<i64>);

impl Operation for Read {
    type Answer = HashMap<UserId, User>;

    /// The addresses by a statement of their own: a subquery for each account costs more.
    async fn run(&self, db: &mut Db<'_>) -> Result<HashMap<UserId, User>, Failure> {
        let addresses = sql!(
            "SELECT user_id, channel, address FROM addresses \
             WHERE user_id IN (SELECT value FROM json_each($1))"
        );
        let mut by_user: HashMap<UserId, Vec<(Channel, Text)>> = HashMap::new();
        for (user, at) in db.all(addresses, values![self.0.clone()], address).await? {
            by_user.entry(user).or_default().extend(at);
        }
        let accounts = sql!(
            "SELECT id, username, full_name, role, is_active, email_verified, created_at, \
             claims_at, tokens_from, '{}' AS addresses FROM users \
             WHERE id IN (SELECT value FROM json_each($1))"
        );
        let accounts = db.all(accounts, values![self.0.clone()], user).await?;
        let addressed = |account: User| {
            let addresses =
                by_user.remove(&account.id).map_or_else(Addresses::default, Addresses::of);
            (account.id, User { addresses, ..account })
        };
        Ok(accounts.into_iter().map(addressed).collect())
    }
}

/// An address; a later version of the hub may have other channels.
fn address(row: &Row) -> Result<(UserId, Option<(Channel, Text)>), StoreError> {
    let channel = Channel::from_name(text(row, "channel")?);
    let address = text(row, "address")?;
    Ok((UserId(int(row, "user_id")?), channel.map(|channel| (channel, address.into()))))
}
