//! Accounts, logins and settings.

use async_trait::async_trait;
use bellpull_domain::account_link::AccountLink;
use bellpull_domain::idempotency::IdempotencyKey;
use bellpull_domain::ids::{LoginId, ProjectId, UserId};
use bellpull_domain::user::{APART_FROM, User};
use bellpull_port::account_links::{EndedLogin, NewLink, PasswordChange};
use bellpull_port::accounts::{
    AnnounceUser, LoginName, NewUser, RefreshUse, RevokedLogins, UserChanges, UserFilter,
    WithdrawnRights,
};
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{AccountStore, Page, PageRequest, SharedTickets, StoreError};
use jiff::Timestamp;

use super::logins::Times;
use super::{account_links, logins, settings, user_lists};
use crate::checks::own_below;
use crate::engine::{Dialect, Engine, Row, now_ms, sql, values};
use crate::rows::{Columns, get_time, int, string, timestamp, user, user_columns};

/// An account with its password, by its name as it is, or else by a name that looks like it: an
/// account of an older version may have no key.
macro_rules! select_credentials {
    ($kind:literal, $exact:literal) => {
        sql!(
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

#[async_trait]
impl<D: Dialect> AccountStore for Engine<D> {
    fn shared_tickets(&self) -> Option<&dyn SharedTickets> {
        Dialect::shared_tickets(&**self)
    }

    async fn create_user_once(
        &self,
        new: NewUser,
        announce: Option<AnnounceUser>,
        once: Option<IdempotencyKey>,
    ) -> Result<(User, Option<AnnouncedMessage>), StoreError> {
        Dialect::create_user(&**self, new, announce, once).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Dialect::user(&**self, id).await
    }

    async fn credentials(
        &self,
        login: &LoginName,
    ) -> Result<Option<(User, Option<String>)>, StoreError> {
        let sql = match login {
            LoginName::Username(_) => {
                select_credentials!("username", "(SELECT id FROM users WHERE username = $1)")
            }
            LoginName::Email(_) => select_credentials!(
                "email",
                "(SELECT user_id FROM addresses WHERE channel = 'EMAIL' \
                 AND {address = $1|lower(address) = lower($1 COLLATE \"C\")})"
            ),
        };
        let (name, key) = login.parts();
        let credentials =
            |row: &Row| Ok((user(row)?, row.text("password_hash")?.map(str::to_owned)));
        let found = self.row(sql, values![name, key], credentials).await?;
        Ok(found.filter(|(user, _)| login.is_of(user)))
    }

    async fn password_hash(&self, id: UserId) -> Result<Option<String>, StoreError> {
        let sql = sql!("SELECT password_hash FROM users WHERE id = $1");
        let hash = |row: &Row| row.text("password_hash").map(|hash| hash.map(str::to_owned));
        Ok(self.row(sql, values![id], hash).await?.flatten())
    }

    async fn update_user(&self, id: UserId, changes: UserChanges) -> Result<User, StoreError> {
        Dialect::update_user(&**self, id, changes).await
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
        // As triggers note them: a row without a project names an account that lost rights; one
        // with a project names a user who was removed from it, and who may not see it since: it is
        // not open, and the user is not a member again.
        let sql = sql!(
            "SELECT c.now, w.project_id, w.user_id, w.withdrawn_at FROM (SELECT ",
            now_ms!(),
            " AS now) c LEFT JOIN (SELECT * FROM \
             (SELECT {NULL|NULL::bigint} AS project_id, user_id, withdrawn_at \
             FROM withdrawn_rights WHERE withdrawn_at >= $1 \
             ORDER BY withdrawn_at DESC LIMIT $2) a UNION ALL SELECT * FROM \
             (SELECT e.project_id, e.user_id, e.ended_at FROM ended_memberships e \
             JOIN projects p ON p.id = e.project_id WHERE e.ended_at >= $1 AND NOT p.is_open \
             AND NOT EXISTS (SELECT 1 FROM project_members m \
             WHERE m.project_id = e.project_id AND m.user_id = e.user_id) \
             ORDER BY e.ended_at DESC LIMIT $2) m) w ON TRUE ORDER BY w.withdrawn_at DESC"
        );
        // No row is of this time or later.
        let since_ms = since.map_or(i64::MAX, Timestamp::as_millisecond);
        let mut withdrawn = WithdrawnRights::default();
        for row in self.rows(sql, values![since_ms, limit], withdrawn_right).await? {
            let Withdrawn { now, project, user, at } = row;
            withdrawn.read_at = now;
            match (project, user, at) {
                (Some(project), Some(user), _) => withdrawn.members.push((project, user)),
                (None, Some(user), Some(at)) => withdrawn.accounts.push((user, timestamp(at)?)),
                (_, None, _) | (None, Some(_), None) => {}
            }
        }
        Ok(withdrawn)
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
        let named = |row: &Row| Ok((UserId(int(row, "id")?), string(row, "username")?));
        self.rows(own_below(), values![APART_FROM, limit], named).await
    }
}

struct Withdrawn {
    now: Timestamp,
    project: Option<ProjectId>,
    user: Option<UserId>,
    at: Option<i64>,
}

fn withdrawn_right(row: &Row) -> Result<Withdrawn, StoreError> {
    Ok(Withdrawn {
        now: get_time(row, "now")?,
        project: row.int("project_id")?.map(ProjectId),
        user: row.int("user_id")?.map(UserId),
        at: row.int("withdrawn_at")?,
    })
}
