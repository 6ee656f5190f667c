//! What other processes have ended or withdrawn, read from the store every few seconds: other nodes
//! while no broker connects them, and commands beside the server.
//!
//! Each node reads it by itself, so there is nothing to publish.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bellpull_actors::directory::{Projects, Users};
use bellpull_domain::ids::UserId;
use bellpull_domain::user::User;
use bellpull_port::outlet::{Revoked, TokenEnd};
use bellpull_port::{BrokerMessage, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::accounts::Accounts;
use super::ended::ENDED_MAX;
use super::logins::after;
use super::{Auth, Inner};

/// How often the store is asked.
pub const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// How far each question looks back: a time is set before the commit, and a busy store lets a
/// caller wait.
const LOOK_BACK: SignedDuration = SignedDuration::from_secs(15);

/// No token lives longer.
const YEAR_S: u32 = 365 * 24 * 3_600;

/// How many accounts that lost rights are read at once.
const WITHDRAWN_MAX: u32 = 65_536;

/// What was read before.
#[derive(Debug)]
struct Followed {
    /// When logins were last read, by the store's clock, as all times here.
    logins: Option<Timestamp>,
    /// When accounts were last read.
    rights: Option<Timestamp>,
    /// The accounts of which this node knows that they lost rights at that time, as far as they may
    /// be read again.
    known: HashMap<UserId, Timestamp>,
}

impl Auth {
    /// Ends the logins that other processes have ended, closes the sessions of accounts that lost
    /// rights, and ends the streams of users who were removed from a project, within `every`; never
    /// returns.
    pub async fn follow(self, projects: Projects, every: Duration) {
        let inner = Arc::clone(&self.0);
        let mut followed = Followed { logins: None, rights: None, known: HashMap::new() };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = inner.follow_logins(&mut followed).await {
                tracing::warn!(%error, "logins that have ended could not be read");
            }
            if let Err(error) = inner.follow_rights(&projects, &mut followed).await {
                tracing::warn!(%error, "accounts that lost rights could not be read");
            }
        }
    }
}

/// Ends the sessions of an account on this node that were opened with other rights than it has now.
async fn end_other_rights(accounts: &Accounts, users: &Users, user: UserId, now: Timestamp) {
    // Of several changes the last one counts, whichever this node has heard of.
    accounts.forget(user);
    match accounts.find(user, now).await {
        Ok(Some(account)) if account.is_active => users.end_other_rights(&account),
        Ok(_) => users.end_own_sessions(user, None, Revoked::Right),
        // Which these are cannot be told: all of them may come back.
        Err(_) => users.end_own_sessions(user, None, Revoked::Role),
    }
}

impl Inner {
    /// This node has given an account another role.
    pub(super) fn role_changed(&self, after: &Arc<User>) {
        self.withdrawn.note(after.id);
        if let Some(users) = &self.users {
            users.end_other_rights(after);
            let (user, login, why) = (after.id, None, Revoked::Role);
            users.publish(BrokerMessage::SessionsEnded { user, login, why });
        }
    }

    /// Another node has.
    pub(super) fn role_changed_elsewhere(&self, user: UserId) {
        self.withdrawn.note(user);
        let Some(users) = self.users.clone().filter(|users| users.are_here(user)) else { return };
        let (accounts, now) = (Arc::clone(&self.accounts), self.clock.now());
        tokio::spawn(async move { end_other_rights(&accounts, &users, user, now).await });
    }

    async fn follow_logins(&self, followed: &mut Followed) -> Result<(), StoreError> {
        let (now, store) = (self.clock.now(), self.accounts.store());
        let since = match followed.logins {
            Some(at) => at,
            None => store.logins_revoked(None, now, 0).await?.read_at,
        };
        let read = store.logins_revoked(Some(looking_back(since)), now, ENDED_MAX).await?;
        let is_all = u32::try_from(read.logins.len()).is_ok_and(|count| count < ENDED_MAX);
        for login in &read.logins {
            if self.ended.contains(login.id) {
                continue;
            }
            self.ended.insert(login.id, now, login.access_until);
            if let Some(users) = &self.users {
                let why = Revoked::Token(TokenEnd::Revoked);
                users.end_own_sessions(login.user, Some(login.id), why);
            }
        }
        if !is_all {
            self.ended.miss(after(now, YEAR_S));
        }
        followed.logins = Some(read.read_at);
        Ok(())
    }

    async fn follow_rights(
        &self,
        projects: &Projects,
        followed: &mut Followed,
    ) -> Result<(), StoreError> {
        // Before the store's: a difference between the two clocks then makes a change seem older,
        // and never one that came after this node closed the sessions.
        let asked_at = Instant::now();
        let since = followed.rights.map(looking_back);
        let read = self.accounts.store().rights_withdrawn(since, WITHDRAWN_MAX).await?;
        for (user, at) in &read.accounts {
            if followed.known.insert(*user, *at) == Some(*at) {
                continue;
            }
            self.accounts.forget(*user);
            let age = Duration::try_from(at.duration_until(read.read_at)).unwrap_or_default();
            let is_done =
                asked_at.checked_sub(age).is_some_and(|at| self.withdrawn.since(*user, at));
            if let (false, Some(users)) = (is_done, &self.users) {
                end_other_rights(&self.accounts, users, *user, self.clock.now()).await;
            }
        }
        // Again with each reading: who has no right watches nothing, so it costs a lookup in a map.
        for (project, user) in &read.members {
            projects.withdraw_own(*project, *user);
        }
        let since = looking_back(read.read_at);
        followed.known.retain(|_, at| *at >= since);
        followed.rights = Some(read.read_at);
        Ok(())
    }
}

pub(super) fn looking_back(from: Timestamp) -> Timestamp {
    from.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN)
}
