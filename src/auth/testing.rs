//! Fakes for this module's tests: a store in memory, and a clock that stands still.
#![allow(clippy::unwrap_used, reason = "of tests alone")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bellpull_domain::account_link::AccountLink;
use bellpull_domain::address::Addresses;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{LoginId, UserId};
use bellpull_domain::notification::Announcement;
use bellpull_domain::user::{Origin, Role, User};
use bellpull_port::account_links::{EndedLogin, NewLink, PasswordChange};
use bellpull_port::accounts::{
    AnnounceUser, LoginName, NewUser, RefreshUse, RevokedLogins, UserChanges, UserFilter,
    WithdrawnRights,
};
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, Clock, Page, PageRequest, StoreError};
#[cfg(test)]
use jiff::SignedDuration;
use jiff::Timestamp;

use super::{Auth, AuthStartError, Signing};
use bellpull_config::{Config, Secret};

#[derive(Debug)]
pub(super) struct StillClock(Mutex<Timestamp>);

impl StillClock {
    pub(super) fn new() -> Self {
        Self(Mutex::new("2026-03-01T12:00:00.5Z".parse().unwrap()))
    }

    #[cfg(test)]
    pub(super) fn advance_ms(&self, ms: i64) {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::from_millis(ms);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[derive(Debug, Default)]
struct Login {
    user: i64,
    generation: i64,
    access_until: Timestamp,
    ends_at: Timestamp,
    is_revoked: bool,
}

#[derive(Debug, Default)]
struct Rows {
    users: Vec<(User, Option<String>)>,
    logins: Vec<Login>,
    secret: Option<String>,
    announced: Vec<Announcement>,
}

impl Rows {
    /// The logins for which the predicate holds.
    fn ended(&self, is_so: impl Fn(&Login) -> bool) -> Vec<EndedLogin> {
        let all = (1..).map(LoginId).zip(&self.logins).filter(|(_, login)| is_so(login));
        let shown = |(id, login): (LoginId, &Login)| EndedLogin {
            id,
            user: UserId(login.user),
            access_until: login.access_until,
        };
        all.map(shown).collect()
    }
}

/// Accounts in memory; counts reads, and can be unavailable.
#[derive(Debug, Default)]
pub(super) struct FakeStore {
    rows: Mutex<Rows>,
    pub(super) reads: AtomicUsize,
    pub(super) is_away: AtomicBool,
}

impl FakeStore {
    #[cfg(test)]
    pub(super) fn announced(&self) -> Vec<Announcement> {
        self.rows.lock().unwrap().announced.clone()
    }

    #[cfg(test)]
    pub(super) fn change(&self, id: i64, change: impl FnOnce(&mut User)) {
        let mut rows = self.rows.lock().unwrap();
        change(&mut rows.users.iter_mut().find(|(user, _)| user.id.0 == id).unwrap().0);
    }

    fn answer(&self) -> Result<std::sync::MutexGuard<'_, Rows>, StoreError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        Ok(self.rows.lock().unwrap())
    }
}

#[async_trait]
impl AccountStore for FakeStore {
    async fn create_user_once(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        _once: Option<IdempotencyKey>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        let mut rows = self.answer()?;
        let is = |test: &dyn Fn(&User) -> bool| rows.users.iter().any(|(user, _)| test(user));
        if is(&|user| user.username == new.username) {
            return Err(StoreError::Taken("username"));
        }
        if is(&|user| !new.email().is_empty() && user.email().eq_ignore_ascii_case(new.email())) {
            return Err(StoreError::Taken("email"));
        }
        if is(&|user| Some(user.id) == new.id) {
            return Err(StoreError::Taken("id"));
        }
        let next = rows.users.iter().map(|(user, _)| user.id.0).max().unwrap_or(0) + 1;
        let user = User {
            id: new.id.unwrap_or(UserId(next)),
            username: new.username.into(),
            addresses: new.addresses,
            full_name: new.full_name.into(),
            role: new.role,
            is_active: true,
            is_email_verified: new.is_email_verified,
            created_at: new.now,
            origin: new.origin,
            tokens_from: Timestamp::UNIX_EPOCH,
        };
        rows.announced.extend(announce.map(|announce| announce(&user)));
        rows.users.push((user.clone(), new.password_hash));
        Ok((user, None))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let rows = self.answer()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(rows.users.iter().map(|(user, _)| user).find(|user| user.id == id).cloned())
    }

    async fn credentials(
        &self,
        login: &LoginName,
    ) -> Result<Option<(User, Option<String>)>, StoreError> {
        let is_meant = |user: &User| match login {
            LoginName::Username(name) => user.username == *name,
            LoginName::Email(email) => user.email().eq_ignore_ascii_case(email),
        };
        Ok(self.answer()?.users.iter().find(|(user, _)| is_meant(user)).cloned())
    }

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError> {
        let rows = self.answer()?;
        Ok(rows.users.iter().find(|(user, _)| user.id == id).and_then(|(_, hash)| hash.clone()))
    }

    async fn update_user(&self, _: UserId, _: UserChanges) -> Result<User, StoreError> {
        Err(StoreError::NotFound)
    }

    async fn list_users(&self, _: &UserFilter, _: PageRequest) -> Result<Page<User>, StoreError> {
        Err(StoreError::NotFound)
    }

    async fn begin_login(
        &self,
        user: UserId,
        password_hash: Option<&str>,
        _: Timestamp,
        access_until: Timestamp,
        ends_at: Timestamp,
    ) -> Result<LoginId, StoreError> {
        let mut rows = self.answer()?;
        let has = |row: &&(User, Option<String>)| row.0.id == user;
        let known = rows.users.iter().find(has).and_then(|(_, hash)| hash.as_deref());
        if known != password_hash {
            return Err(StoreError::NotFound);
        }
        rows.logins.push(Login { user: user.0, access_until, ends_at, ..Login::default() });
        Ok(LoginId(i64::try_from(rows.logins.len()).unwrap()))
    }

    async fn use_refresh(
        &self,
        login: LoginId,
        generation: i64,
        now: Timestamp,
        access_until: Timestamp,
    ) -> Result<RefreshUse, StoreError> {
        let mut rows = self.answer()?;
        let index = usize::try_from(login.0 - 1).unwrap();
        let Some(row) = rows.logins.get_mut(index) else { return Ok(RefreshUse::Ended) };
        if row.is_revoked || row.ends_at <= now {
            return Ok(RefreshUse::Ended);
        }
        if generation < row.generation {
            row.is_revoked = true;
            let (user, access_until) = (UserId(row.user), row.access_until);
            return Ok(RefreshUse::Reused { user, access_until });
        }
        row.generation = generation;
        row.access_until = row.access_until.max(access_until);
        Ok(RefreshUse::Good(UserId(row.user)))
    }

    async fn revoke_login(
        &self,
        login: LoginId,
        _: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let index = usize::try_from(login.0 - 1).unwrap();
        let mut rows = self.answer()?;
        let row = rows.logins.get_mut(index);
        Ok(row.map(|row| {
            row.is_revoked = true;
            row.access_until
        }))
    }

    async fn revoke_all_logins(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<EndedLogin>, StoreError> {
        let mut rows = self.answer()?;
        let ended = rows.ended(|login| login.user == user.0 && login.access_until > now);
        for login in rows.logins.iter_mut().filter(|login| login.user == user.0) {
            login.is_revoked = true;
        }
        Ok(ended)
    }

    async fn ended_logins(
        &self,
        now: Timestamp,
        _: u32,
    ) -> Result<Vec<(LoginId, Timestamp)>, StoreError> {
        let rows = self.answer()?;
        let all = (1..).map(LoginId).zip(&rows.logins);
        let ended = all.filter(|(_, login)| login.is_revoked && login.access_until > now);
        Ok(ended.map(|(id, login)| (id, login.access_until)).collect())
    }

    async fn logins_revoked(
        &self,
        since: Option<Timestamp>,
        now: Timestamp,
        _: u32,
    ) -> Result<RevokedLogins, StoreError> {
        let is_asked = since.is_some();
        let is_new = |login: &Login| is_asked && login.is_revoked && login.access_until > now;
        Ok(RevokedLogins { read_at: now, logins: self.answer()?.ended(is_new) })
    }

    async fn is_login_ended(&self, login: LoginId) -> Result<bool, StoreError> {
        let index = usize::try_from(login.0 - 1).unwrap();
        Ok(self.answer()?.logins.get(index).is_none_or(|login| login.is_revoked))
    }

    async fn rights_withdrawn(
        &self,
        _: Option<Timestamp>,
        _: u32,
    ) -> Result<WithdrawnRights, StoreError> {
        self.answer().map(|_| WithdrawnRights::default())
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Vec<EndedLogin>, StoreError> {
        let PasswordChange { user, password_hash, keep, now, .. } = change;
        let mut rows = self.answer()?;
        let account = rows.users.iter_mut().find(|(known, _)| known.id == user);
        account.ok_or(StoreError::NotFound)?.1 = Some(password_hash);
        let ended = rows.ended(|login| login.user == user.0 && login.access_until > now);
        let ended: Vec<_> = ended.into_iter().filter(|login| Some(login.id) != keep).collect();
        for login in &ended {
            let index = usize::try_from(login.id.0 - 1).unwrap();
            rows.logins[index].is_revoked = true;
        }
        Ok(ended)
    }

    async fn mail_link(&self, _: NewLink) -> Result<bool, StoreError> {
        Err(StoreError::NotFound)
    }

    async fn is_link_open(&self, _: &AccountLink, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn reset_password(
        &self,
        _: AccountLink,
        _: String,
        _: Timestamp,
    ) -> Result<Option<Vec<EndedLogin>>, StoreError> {
        Ok(None)
    }

    async fn confirm_email(&self, _: AccountLink, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn setting_or_insert(&self, name: &str, initial: &str) -> Result<String, StoreError> {
        assert_eq!(name, "jwt_secret");
        Ok(self.answer()?.secret.get_or_insert_with(|| initial.to_owned()).clone())
    }

    async fn setting(&self, _: &str) -> Result<Option<String>, StoreError> {
        Ok(self.answer()?.secret.clone())
    }

    async fn set_setting(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Err(StoreError::NotFound)
    }

    async fn number_apart(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn own_below_apart(&self, _: u32) -> Result<Vec<(UserId, String)>, StoreError> {
        Ok(Vec::new())
    }
}

/// Accounts for the tests of other crates: users 1 and 2, and the tokens that they come with.
#[derive(Debug)]
pub struct Accounts {
    pub auth: Auth,
    store: Arc<FakeStore>,
    clock: Arc<StillClock>,
}

const SECRET: &str = "a secret for the tests of others";

impl Accounts {
    pub async fn gather() -> Self {
        let secret = Some(Secret::new(SECRET.to_owned()));
        let config = Config { jwt_secret: secret, ..Config::default() };
        let (store, clock) = (Arc::new(FakeStore::default()), Arc::new(StillClock::new()));
        for username in ["ada", "bob"] {
            let new = NewUser {
                id: None,
                origin: Origin::Hub,
                username: username.to_owned(),
                addresses: Addresses::default(),
                full_name: String::new(),
                role: Role::Client,
                is_email_verified: true,
                password_hash: None,
                now: clock.now(),
            };
            store.create_user(new, None).await.unwrap();
        }
        let auth = Auth::assemble(&config, store.clone(), clock.clone()).await.unwrap();
        Self { auth, store, clock }
    }

    /// A token of that kind that ends after so many seconds.
    pub fn token(&self, user: i64, kind: &str, seconds: i64) -> String {
        let exp = self.clock.now().as_second() + seconds;
        let claims = serde_json::json!({"user_id": user, "token_type": kind, "exp": exp});
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    }

    /// Makes the store unavailable.
    pub fn take_store_away(&self) {
        self.store.is_away.store(true, Ordering::Relaxed);
    }
}

impl Auth {
    /// Accounts and tokens without sockets.
    pub(super) async fn assemble(
        config: &Config,
        accounts: Arc<dyn AccountStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthStartError> {
        let signing = Signing::read(config, &*accounts, clock.now()).await?;
        Ok(Self::new(signing, config, accounts, None, clock))
    }
}
