//! Another token for an open socket: looked at here, by the edge, and told to the user's actor.

use std::sync::Arc;

use bellpull_actors::domain::ids::UserId;
use bellpull_actors::session::{Heard, NotRenewed, Renewal, Tag, Token};

use super::shared::Shared;
use crate::auth::{Auth, AuthError, Principal};

/// What a reader needs to have a token looked at.
#[derive(Debug, Clone)]
pub(super) struct Renewer {
    auth: Auth,
    /// Whose session it is: another's token will not do.
    user: UserId,
}

impl Renewer {
    pub(super) fn new(auth: Auth, user: UserId) -> Self {
        Self { auth, user }
    }

    /// Has a token looked at, by a task of its own: the account may have to be read. One at a time
    /// for each socket, so that a client cannot pile them up.
    pub(super) fn begin(&self, shared: &Arc<Shared>, tag: Tag, token: Token) {
        if !shared.begin_renewing() {
            return shared.tell(Heard::Renewed { tag, renewal: Err(NotRenewed::Busy) });
        }
        let (renewer, shared) = (self.clone(), Arc::clone(shared));
        tokio::spawn(async move {
            let looked = renewer.look(&token).await;
            let renewal = looked.as_ref().map(renewal).map_err(Clone::clone);
            shared.tell(Heard::Renewed { tag, renewal });
            shared.end_renewing();
            // What ended while the token was looked at has not found this session with it.
            if let Ok(principal) = looked
                && let Err(why) = renewer.auth.recheck(&principal).await
            {
                shared.tell(Heard::Ended(why));
            }
        });
    }

    async fn look(&self, token: &Token) -> Result<Principal, NotRenewed> {
        let bad = |problem: &str| Err(NotRenewed::BadToken(problem.to_owned()));
        match self.auth.authenticate(&token.0).await {
            Ok(principal) if principal.is_service || principal.user.id != self.user => {
                bad("Given token not valid: it is somebody else's")
            }
            Ok(principal) => Ok(principal),
            // A client that took this for a bad token would throw a good one away.
            Err(AuthError::Unavailable) => Err(NotRenewed::Unavailable),
            Err(error) => bad(&error.to_string()),
        }
    }
}

fn renewal(principal: &Principal) -> Renewal {
    Renewal { user: principal.user.id, login: principal.login, expires_at: principal.expires_at }
}
