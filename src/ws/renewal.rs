//! A new token for an open socket: checked here, by the edge, and passed to the user's actor.

use std::sync::Arc;

use bellpull_domain::ids::UserId;
use bellpull_port::session::{Heard, NotRenewed, Renewal, Tag, Token};

use super::shared::Shared;
use bellpull_auth::{Auth, AuthError, Principal};

/// What a reader needs to have a token checked.
#[derive(Debug, Clone)]
pub(super) struct Renewer {
    auth: Auth,
    /// The session's user: another user's token is refused.
    user: UserId,
}

impl Renewer {
    pub(super) fn new(auth: Auth, user: UserId) -> Self {
        Self { auth, user }
    }

    /// Checks a token in a task of its own: the account may have to be read. One at a time per
    /// socket, so that a client cannot pile them up.
    pub(super) fn begin(&self, shared: &Arc<Shared>, tag: Tag, token: Token) {
        if !shared.begin_renewing() {
            return shared.tell(Heard::Renewed { tag, renewal: Err(NotRenewed::Busy) });
        }
        let (renewer, shared) = (self.clone(), Arc::clone(shared));
        tokio::spawn(async move {
            let looked = renewer.look(&token).await;
            let renewal = looked.as_ref().map(renewal).map_err(Clone::clone);
            shared.end_renewing(Heard::Renewed { tag, renewal }).await;
            // A logout since the token was checked has not closed this session.
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
                bad("Given token not valid: it is another user's")
            }
            Ok(principal) => Ok(principal),
            // A client that took this for an invalid token would discard a valid one.
            Err(AuthError::Unavailable) => Err(NotRenewed::Unavailable),
            Err(error) => bad(&error.to_string()),
        }
    }
}

fn renewal(principal: &Principal) -> Renewal {
    Renewal { user: principal.user.id, login: principal.login, expires_at: principal.expires_at }
}
