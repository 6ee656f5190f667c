//! Accounts, logins, settings, projects and preferences: rare, so each is its own statement in the
//! group's transaction.

use bellpull_actors::domain::ids::{LoginId, UserId};
use bellpull_actors::domain::notification::Announcement;
use bellpull_actors::domain::user::User;
use bellpull_actors::port::StoreError;
use bellpull_actors::port::accounts::{NewUser, RefreshUse, UserChanges};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::rows::{user, user_columns};
use super::group::Failure;
use super::{
    Answer, Done, Write, escalations, preferences, projects, push, retention, sends, templates,
    webhooks,
};

/// An account that was made in this group and is still to be announced.
#[derive(Debug)]
pub(super) struct Created {
    /// Its request's place in the group.
    pub(super) at: usize,
    pub(super) user: User,
    pub(super) announcement: Announcement,
}

/// Applies the write if it is one of these; `None` where the answer comes later or elsewhere.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    at: usize,
    write: &Write,
    created: &mut Vec<Created>,
) -> Result<Option<Answer>, Failure> {
    let answer = match write {
        Write::CreateUser(new, announce) => match create(connection, new).await? {
            Err(refused) => Err(refused),
            Ok(user) => match announce {
                Some(announce) => {
                    let announcement = announce(&user);
                    created.push(Created { at, user, announcement });
                    return Ok(None);
                }
                None => Ok(Done::Created(Box::new((user, None)))),
            },
        },
        Write::UpdateUser(id, changes) => update(connection, *id, changes).await?,
        Write::BeginLogin { user, now, expires_at } => {
            begin_login(connection, *user, *now, *expires_at).await?
        }
        Write::UseRefresh { login, generation, now } => {
            Ok(Done::Refresh(use_refresh(connection, *login, *generation, *now).await?))
        }
        Write::RevokeLogin { login, now } => {
            revoke(connection, *login, *now).await?;
            Ok(Done::Nothing)
        }
        Write::SettingOrInsert { name, initial } => {
            Ok(Done::Setting(setting_or_insert(connection, name, initial).await?))
        }
        Write::SetSetting { name, value } => {
            let sql = "INSERT INTO settings (name, value) VALUES (?, ?) \
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            sqlx::query(sql).bind(name).bind(value).execute(connection).await?;
            Ok(Done::Nothing)
        }
        Write::CreateProject(new) => projects::create(connection, new).await?,
        Write::AddMember(project, user) => {
            projects::add_member(connection, *project, *user).await?
        }
        Write::RemoveMember(project, user) => {
            projects::remove_member(connection, *project, *user).await?
        }
        Write::ChangePreferences { user, changes, now } => {
            preferences::change(connection, *user, changes, *now).await?
        }
        Write::Webhook(write, now) => webhooks::apply(connection, write, *now).await?,
        Write::Subscribe { user, browser, now } => {
            push::subscribe(connection, *user, browser, *now).await?
        }
        Write::Unsubscribe { user, endpoint } => {
            push::unsubscribe(connection, *user, endpoint).await?
        }
        Write::PutTemplate(template) => templates::put(connection, template).await?,
        Write::DeleteTemplate(key) => templates::delete(connection, key).await?,
        Write::Forget(step) => retention::forget(connection, *step).await?,
        Write::CancelSend(id) => sends::cancel(connection, *id).await?,
        Write::ForgetKeys { before, limit } => {
            sends::forget_keys(connection, *before, *limit).await?
        }
        Write::SetEscalation { event, escalation, now } => {
            escalations::set(connection, event, escalation, *now).await?
        }
        Write::RemoveEscalation(event) => escalations::remove(connection, event).await?,
        Write::Commit(_)
        | Write::Comment(_)
        | Write::BeginSend(_)
        | Write::ContinueSend { .. }
        | Write::Mark(_)
        | Write::SaveDelivered(_)
        | Write::Lease(_)
        | Write::Release(_)
        | Write::Record(_)
        | Write::GiveBack(_)
        | Write::Report(_)
        | Write::Retry { .. }
        | Write::LimitPages(_)
        | Write::Ping => return Ok(None),
    };
    Ok(Some(answer))
}

/// Looks first: a constraint would say less clearly which field is taken.
async fn create(
    connection: &mut SqliteConnection,
    new: &NewUser,
) -> Result<Result<User, StoreError>, Failure> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE username = ?1), \
               EXISTS (SELECT 1 FROM users WHERE email = ?2 AND email <> ''), \
               EXISTS (SELECT 1 FROM users WHERE id = ?3)";
    let (username, email, id): (bool, bool, bool) = sqlx::query_as(sql)
        .bind(&new.username)
        .bind(&new.email)
        .bind(new.id.map(|id| id.0))
        .fetch_one(&mut *connection)
        .await?;
    for (is_taken, field) in [(username, "username"), (email, "email"), (id, "id")] {
        if is_taken {
            return Ok(Err(StoreError::Taken(field)));
        }
    }
    let sql = concat!(
        "INSERT INTO users (id, username, email, full_name, role, whatsapp_number, phone, \
         password_hash, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ",
        user_columns!()
    );
    let row = sqlx::query(sql)
        .bind(new.id.map(|id| id.0))
        .bind(&new.username)
        .bind(&new.email)
        .bind(&new.full_name)
        .bind(new.role.as_str())
        .bind(&new.whatsapp_number)
        .bind(&new.phone)
        .bind(&new.password_hash)
        .bind(new.now.as_millisecond())
        .fetch_one(connection)
        .await?;
    Ok(Ok(user(&row)?))
}

async fn update(
    connection: &mut SqliteConnection,
    id: UserId,
    changes: &UserChanges,
) -> Result<Answer, Failure> {
    let taken = "SELECT EXISTS (SELECT 1 FROM users WHERE email = ?1 AND email <> '' AND id <> ?2)";
    let is_taken: bool = sqlx::query_scalar(taken)
        .bind(&changes.email)
        .bind(id.0)
        .fetch_one(&mut *connection)
        .await?;
    if is_taken {
        return Ok(Err(StoreError::Taken("email")));
    }
    let sql = concat!(
        "UPDATE users SET email = coalesce(?2, email), full_name = coalesce(?3, full_name), \
         role = coalesce(?4, role), whatsapp_number = coalesce(?5, whatsapp_number), \
         phone = coalesce(?6, phone), is_active = coalesce(?7, is_active), \
         password_hash = coalesce(?8, password_hash) WHERE id = ?1 RETURNING ",
        user_columns!()
    );
    let row = sqlx::query(sql)
        .bind(id.0)
        .bind(&changes.email)
        .bind(&changes.full_name)
        .bind(changes.role.as_ref().map(|role| role.as_str().to_owned()))
        .bind(&changes.whatsapp_number)
        .bind(&changes.phone)
        .bind(changes.is_active)
        .bind(&changes.password_hash)
        .fetch_optional(connection)
        .await?;
    Ok(match row {
        Some(row) => Ok(Done::Updated(Box::new(user(&row)?))),
        None => Err(StoreError::NotFound),
    })
}

async fn begin_login(
    connection: &mut SqliteConnection,
    user: UserId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Answer, Failure> {
    let sql = "INSERT INTO logins (user_id, created_at, expires_at) \
               SELECT id, ?2, ?3 FROM users WHERE id = ?1 RETURNING id";
    let id: Option<i64> = sqlx::query_scalar(sql)
        .bind(user.0)
        .bind(now.as_millisecond())
        .bind(expires_at.as_millisecond())
        .fetch_optional(connection)
        .await?;
    Ok(id.map(|id| Done::Login(LoginId(id))).ok_or(StoreError::NotFound))
}

async fn use_refresh(
    connection: &mut SqliteConnection,
    login: LoginId,
    generation: i64,
    now: Timestamp,
) -> Result<RefreshUse, Failure> {
    let sql = "SELECT user_id, generation FROM logins \
               WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2";
    let row: Option<(i64, i64)> = sqlx::query_as(sql)
        .bind(login.0)
        .bind(now.as_millisecond())
        .fetch_optional(&mut *connection)
        .await?;
    let Some((user, used)) = row else { return Ok(RefreshUse::Ended) };
    if generation < used {
        revoke(connection, login, now).await?;
        return Ok(RefreshUse::Reused(UserId(user)));
    }
    if generation > used {
        let sql = "UPDATE logins SET generation = ?2 WHERE id = ?1";
        sqlx::query(sql).bind(login.0).bind(generation).execute(connection).await?;
    }
    Ok(RefreshUse::Good(UserId(user)))
}

async fn revoke(
    connection: &mut SqliteConnection,
    login: LoginId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE logins SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    let query = sqlx::query(sql).bind(login.0).bind(now.as_millisecond());
    query.execute(connection).await.map(drop)
}

async fn setting_or_insert(
    connection: &mut SqliteConnection,
    name: &str,
    initial: &str,
) -> Result<String, sqlx::Error> {
    let sql = "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING";
    sqlx::query(sql).bind(name).bind(initial).execute(&mut *connection).await?;
    let sql = "SELECT value FROM settings WHERE name = ?";
    sqlx::query_scalar(sql).bind(name).fetch_one(connection).await
}
