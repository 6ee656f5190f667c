//! Accounts, logins and settings.

use std::collections::HashMap;

use async_trait::async_trait;
use bellpull_domain::account_link::AccountLink;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::user::{APART_FROM, User};
use bellpull_port::account_links::{EndedLogin, NewLink, PasswordChange};
use bellpull_port::accounts::{
    AnnounceUser, LoginName, NewUser, RefreshUse, RevokedLogins, UserChanges, UserFilter,
    WithdrawnRights,
};
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, Page, PageRequest, SharedTickets, StoreError};
use jiff::Timestamp;

use super::columns::user_columns;
use super::database::Database;
use super::transaction::failed;
use super::writer::{Done, Write, mismatch};
use super::{PostgresStore, account_changes, withdrawn_rights};
use crate::checks::OWN_BELOW_APART;
use crate::ports::logins::Times;
use crate::ports::{account_links, logins, settings, user_lists};
use crate::rows::{get, user};

#[async_trait]
impl AccountStore for PostgresStore {
    fn shared_tickets(&self) -> Option<&dyn SharedTickets> {
        Some(self)
    }

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
                    "SELECT u.password_hash, ",
                    user_columns!(),
                    " FROM users u WHERE u.id = coalesce(",
                    $exact,
                    ", (SELECT user_id FROM name_keys WHERE kind = '",
                    $kind,
                    "' AND key = $2 AND key <> ''))"
                )
            };
        }
        // The name itself first: an account of an older version may have no key.
        let sql = match login {
            LoginName::Username(_) => {
                select!("username", "(SELECT id FROM users WHERE username = $1)")
            }
            LoginName::Email(_) => select!(
                "email",
                "(SELECT user_id FROM addresses \
                 WHERE channel = 'EMAIL' AND lower(address) = lower($1 COLLATE \"C\"))"
            ),
        };
        let (name, key) = login.parts();
        let query = sqlx::query(sql).bind(name).bind(key);
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(failed)? else {
            return Ok(None);
        };
        let user = user(&row)?;
        Ok(login.is_of(&user).then_some((user, get(&row, "password_hash")?)))
    }

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1").bind(id.0);
        let found: Option<Option<String>> =
            query.fetch_optional(&self.pool).await.map_err(failed)?;
        Ok(found.flatten())
    }

    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError> {
        let mut work = self.begin().await?;
        let after = account_changes::update(&mut work, id, &changes).await?;
        work.commit().await?;
        Ok(after)
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
        let rows: Vec<(i64, String)> = query.fetch_all(&self.pool).await.map_err(failed)?;
        Ok(rows.into_iter().map(|(id, name)| (UserId(id), name)).collect())
    }
}

/// The accounts with these ids; ids that do not exist are left out.
pub(super) async fn read(
    database: Database,
    ids: Vec<UserId>,
) -> Result<HashMap<UserId, User>, StoreError> {
    let sql = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ANY($1)");
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    let rows = sqlx::query(sql).bind(ids).fetch_all(database.by_key()).await.map_err(failed)?;
    rows.iter().map(|row| user(row).map(|user| (user.id, user))).collect()
}
