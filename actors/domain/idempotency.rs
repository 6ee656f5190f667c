//! Idempotency keys: a request that creates something may carry one, and a repetition gets what the
//! first one has made.
//!
//! A store records the key's first use in the transaction of what it creates, never beside it: so a
//! client that does not know whether its request was carried out may repeat it. Requests with one
//! key wait for each other.

use super::ids::UserId;

/// A key that makes a retry the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key's owner: two senders may choose the same key.
    pub owner: UserId,
    /// As it was sent: 1 to 255 visible ASCII characters (the edge checks it); a back end's after
    /// its name and a space.
    pub key: String,
    /// SHA-256 of the request: the same key with another request is a mistake.
    pub body_hash: [u8; 32],
}

/// What a request with a key creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creates {
    /// A message to many.
    Send,
    /// A ticket.
    Ticket,
    /// A comment.
    Comment,
    /// An account.
    User,
    /// A project.
    Project,
    /// A webhook.
    Webhook,
}

impl Creates {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Send, Self::Ticket, Self::Comment, Self::User, Self::Project, Self::Webhook];

    /// Its name in a store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Ticket => "ticket",
            Self::Comment => "comment",
            Self::User => "user",
            Self::Project => "project",
            Self::Webhook => "webhook",
        }
    }
}

/// The first use of a key, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstUse {
    /// The hash of the request.
    pub body_hash: Vec<u8>,
    /// The name of what it created ([`Creates::as_str`]).
    pub made: String,
    /// The id of what it created.
    pub id: i64,
}

/// Why a request with a key creates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// The same request was carried out before; the id of what it created.
    Repeated(i64),
    /// The key belongs to another request.
    Reused,
}

impl IdempotencyKey {
    /// Compares a request that would create such a thing with the first use of its key.
    ///
    /// # Errors
    /// [`Used`], if there was one.
    pub fn admit(&self, creates: Creates, first: Option<&FirstUse>) -> Result<(), Used> {
        match first {
            None => Ok(()),
            Some(FirstUse { body_hash, made, id }) => {
                let is_same = *body_hash == self.body_hash && made == creates.as_str();
                Err(if is_same { Used::Repeated(*id) } else { Used::Reused })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_needs_the_same_request() {
        let key = IdempotencyKey { owner: UserId(1), key: "k".to_owned(), body_hash: [7; 32] };
        let first = |hash, made: Creates| FirstUse {
            body_hash: vec![hash; 32],
            made: made.as_str().to_owned(),
            id: 5,
        };
        assert_eq!(key.admit(Creates::Ticket, None), Ok(()));
        for creates in Creates::ALL {
            let admit = |first| key.admit(creates, Some(&first));
            assert_eq!(admit(first(7, creates)), Err(Used::Repeated(5)));
            assert_eq!(admit(first(8, creates)), Err(Used::Reused), "another body");
            let others = Creates::ALL.into_iter().filter(|other| *other != creates);
            for other in others {
                assert_eq!(admit(first(7, other)), Err(Used::Reused), "another operation");
            }
        }
    }
}
