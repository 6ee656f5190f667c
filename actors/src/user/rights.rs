//! The rights that sessions were opened with.
//!
//! When an account's rights change its sessions come back with the present ones. A session that was
//! opened with those stays: it may be the one whose token brought the change, or it was opened
//! before this node heard of it.

use std::sync::Arc;

use ractor::ActorRef;

use super::{UserEntity, UserState};
use crate::messages::UserMessage;
use bellpull_domain::user::User;
use bellpull_port::outlet::Revoked;

impl UserState {
    /// The next session is opened with this account.
    pub(super) fn open_with(&mut self, account: Arc<User>) {
        if let Some(before) = &self.account
            && !before.has_rights_of(&account)
        {
            let (sessions, earlier) = (&self.sessions, &mut self.earlier);
            earlier.retain(|(id, _)| sessions.iter().any(|session| session.id == *id));
            for session in sessions {
                if earlier.iter().all(|(id, _)| *id != session.id) {
                    earlier.push((session.id, Arc::clone(before)));
                }
            }
        }
        self.account = Some(account);
    }

    /// Where the first session is that was opened with other rights than this account has.
    fn with_other_rights(&self, account: &User) -> Option<usize> {
        self.sessions.iter().position(|session| {
            let earlier = self.earlier.iter().find(|(id, _)| *id == session.id);
            let opened_with = earlier.map(|(_, account)| account).or(self.account.as_ref());
            opened_with.is_none_or(|opened_with| !opened_with.has_rights_of(account))
        })
    }
}

impl UserEntity {
    /// Ends the sessions that were opened with other rights than the account has now.
    pub(super) fn rights(
        &self,
        myself: &ActorRef<UserMessage>,
        account: Arc<User>,
        state: &mut UserState,
    ) {
        while let Some(index) = state.with_other_rights(&account) {
            self.drop_session(myself, index, Revoked::Role.into(), state);
        }
        state.earlier.clear();
        state.account = Some(account);
    }
}
