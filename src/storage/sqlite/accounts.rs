//! Accounts, logins, settings, and whether the store answers.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bellpull_domain::account_link::AccountLink;
use bellpull_domain::address::Addresses;
use bellpull_domain::channel::Channel;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::user::{APART_FROM, Role, User};
use bellpull_port::account_links::{EndedLogin, NewLink, PasswordChange};
use bellpull_port::accounts::{
    AnnounceUser, LoginName, NewUser, RefreshUse, RevokedLogins, UserChanges, UserFilter,
    WithdrawnRights,
};
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, Page, PageRequest, StoreError};
use compact_str::CompactString as Text;
use jiff::Timestamp;

use super::columns::user_columns;
use super::crowd_reader::CrowdReader;
use super::error::unavailable;
use super::multi_row::id_list;
use super::rows::{get, json, origin, timestamp, user};
use super::writer::{Done, Write, mismatch};
use super::{SqliteStore, withdrawn_rights};
use crate::checks::OWN_BELOW_APART;
use crate::ports::logins::Times;
use crate::ports::{account_links, logins, settings, user_lists};

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_user_once(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        let write = Write::CreateUser { new: Box::new(new), announce, once };
        let Done::Created(created) = self.writer.write(write).await? else {
            return Err(mismatch());
        };
        Ok(*created)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.users.of(id).await
    }

    async fn credentials(
        &self,
        login: &LoginName,
    ) -> Result<Option<(User, Option<String>)>, StoreError> {
        macro_rules! select {
            ($kind:literal, $exact:literal) => {
                concat!(
                    "SELECT password_hash, ",
                    user_columns!(),
                    " FROM users WHERE id = coalesce(",
                    $exact,
                    ", (SELECT user_id FROM name_keys WHERE kind = '",
                    $kind,
                    "' AND key = ?2 AND key <> ''))"
                )
            };
        }
        // The name itself first: an account of an older version may have no key.
        let sql = match login {
            LoginName::Username(_) => {
                select!("username", "(SELECT id FROM users WHERE username = ?1)")
            }
            LoginName::Email(_) => select!(
                "email",
                "(SELECT user_id FROM addresses WHERE channel = 'EMAIL' AND address = ?1)"
            ),
        };
        let (name, key) = login.parts();
        let query = sqlx::query(sql).bind(name).bind(key);
        let Some(row) = query.fetch_optional(&self.readers).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let user = user(&row)?;
        Ok(login.is_of(&user).then_some((user, get(&row, "password_hash")?)))
    }

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = ?").bind(id.0);
        let found: Option<Option<String>> =
            query.fetch_optional(&self.readers).await.map_err(unavailable)?;
        Ok(found.flatten())
    }

    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError> {
        let Done::Updated(user) =
            self.writer.write(Write::UpdateUser(id, Box::new(changes))).await?
        else {
            return Err(mismatch());
        };
        Ok(*user)
    }

    async fn list_users(
        &self,
        filter: &UserFilter,
        page: PageRequest,
    ) -> Result<Page<User>, StoreError> {
        user_lists::list(&**self, filter, page).await
    }

    async fn begin_login(
        &self,
        user: UserId,
        password_hash: Option<&str>,
        now: Timestamp,
        access_until: Timestamp,
        expires_at: Timestamp,
    ) -> Result<LoginId, StoreError> {
        let times = Times { now, access_until, expires_at };
        logins::begin(self, user, password_hash, times).await
    }

    async fn use_refresh(
        &self,
        login: LoginId,
        generation: i64,
        now: Timestamp,
        access_until: Timestamp,
    ) -> Result<RefreshUse, StoreError> {
        logins::use_refresh(self, login, generation, now, access_until).await
    }

    async fn revoke_login(
        &self,
        login: LoginId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        logins::revoke(self, login, now).await
    }

    async fn revoke_all_logins(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<EndedLogin>, StoreError> {
        logins::revoke_all(self, user, now).await
    }

    async fn ended_logins(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(LoginId, Timestamp)>, StoreError> {
        logins::ended(self, now, limit).await
    }

    async fn logins_revoked(
        &self,
        since: Option<Timestamp>,
        now: Timestamp,
        limit: u32,
    ) -> Result<RevokedLogins, StoreError> {
        logins::revoked(self, since, now, limit).await
    }

    async fn is_login_ended(&self, login: LoginId) -> Result<bool, StoreError> {
        logins::is_ended(self, login).await
    }

    async fn rights_withdrawn(
        &self,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<WithdrawnRights, StoreError> {
        withdrawn_rights::read(self, since, limit).await
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Vec<EndedLogin>, StoreError> {
        account_links::change_password(self, change).await
    }

    async fn mail_link(&self, new: NewLink) -> Result<bool, StoreError> {
        account_links::mail(self, new).await
    }

    async fn is_link_open(&self, link: &AccountLink, now: Timestamp) -> Result<bool, StoreError> {
        account_links::is_open(self, link, now).await
    }

    async fn reset_password(
        &self,
        link: AccountLink,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<Vec<EndedLogin>>, StoreError> {
        account_links::reset(self, link, password_hash, now).await
    }

    async fn confirm_email(&self, link: AccountLink, now: Timestamp) -> Result<bool, StoreError> {
        account_links::confirm(self, link, now).await
    }

    async fn setting_or_insert(&self, name: &str, initial: &str) -> Result<String, StoreError> {
        settings::get_or_insert(self, name, initial).await
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        settings::get(self, name).await
    }

    async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        settings::set(self, name, value).await
    }

    async fn own_below_apart(&self, limit: u32) -> Result<Vec<(UserId, String)>, StoreError> {
        let query = sqlx::query_as(OWN_BELOW_APART).bind(APART_FROM).bind(i64::from(limit));
        let rows: Vec<(i64, String)> = query.fetch_all(&self.readers).await.map_err(unavailable)?;
        Ok(rows.into_iter().map(|(id, name)| (UserId(id), name)).collect())
    }
}

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
