//! Not written yet.
#![allow(unused_variables, unused_imports, reason = "not written yet")]

use super::PostgresStore;
use async_trait::async_trait;
use bellpull_actors::domain::account_link::AccountLink;
use bellpull_actors::domain::address::Addresses;
use bellpull_actors::domain::channel::Channel;
use bellpull_actors::domain::ids::{LoginId, UserId};
use bellpull_actors::domain::inbox::Head;
use bellpull_actors::domain::notification::Announcement;
use bellpull_actors::domain::plan::account::AccountRefusal;
use bellpull_actors::domain::plan::account::UserChanges;
use bellpull_actors::domain::plan::login::RefreshUse;
use bellpull_actors::domain::user::{Role, User};
use bellpull_actors::port::AccountStore;
use bellpull_actors::port::account_links::{EndedLogin, NewLink, PasswordChange};
use bellpull_actors::port::accounts::*;
use bellpull_actors::port::tickets::AnnouncedMessage;
use bellpull_actors::port::{Page, PageRequest, StoreError};
use jiff::Timestamp;
use sqlx::PgPool;
use std::collections::HashMap;

#[async_trait]
impl AccountStore for PostgresStore {
    async fn create_user(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn credentials(
        &self,
        login: &LoginName,
    ) -> Result<Option<(User, Option<String>)>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn list_users(
        &self,
        filter: &UserFilter,
        page: PageRequest,
    ) -> Result<Page<User>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn begin_login(
        &self,
        user: UserId,
        password_hash: Option<&str>,
        now: Timestamp,
        access_until: Timestamp,
        expires_at: Timestamp,
    ) -> Result<LoginId, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn use_refresh(
        &self,
        login: LoginId,
        generation: i64,
        now: Timestamp,
        access_until: Timestamp,
    ) -> Result<RefreshUse, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn revoke_login(
        &self,
        login: LoginId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn ended_logins(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(LoginId, Timestamp)>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn logins_revoked(
        &self,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<EndedLogin>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Vec<EndedLogin>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn mail_link(&self, new: NewLink) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn is_link_open(&self, link: &AccountLink, now: Timestamp) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn reset_password(
        &self,
        link: AccountLink,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<Vec<EndedLogin>>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn confirm_email(&self, link: AccountLink, now: Timestamp) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn setting_or_insert(&self, name: &str, initial: &str) -> Result<String, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }

    async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not written yet".to_owned()))
    }
}

/// These accounts.
#[expect(clippy::unused_async, reason = "not written yet")]
pub(super) async fn read(_: PgPool, _: Vec<UserId>) -> Result<HashMap<UserId, User>, StoreError> {
    Err(StoreError::Unavailable("not written yet".to_owned()))
}
