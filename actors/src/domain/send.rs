//! A send: somebody's own words to many, at once or at a time.

use jiff::Timestamp;

use super::ids::{ProjectId, UserId};
use super::notification::Message;
use super::routing::Channels;
use super::user::Role;

/// Whom a send is for. Who that is, is looked up when it begins; whoever comes later is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// These accounts, each once, 1 to 10,000 (the edge checks it).
    Users(Vec<UserId>),
    /// All active users of a role; super admins count among the admins.
    Role(Role),
    /// All active users on a project's list of members; of an open project, all active users.
    Project(ProjectId),
    /// All active users.
    All,
}

/// What makes a retry the same request: the first answer is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is: two senders may choose the same.
    pub owner: UserId,
    /// As it was sent: 1 to 255 visible ASCII characters (the edge checks it).
    pub key: String,
    /// SHA-256 of the request's body: the same key with another body is a mistake.
    pub body_hash: [u8; 32],
}

/// A send that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSend {
    /// What is said; its `sender` is who sends.
    pub message: Message,
    /// To whom.
    pub recipients: Recipients,
    /// On which channels, before preferences; the store keeps those that are switched on.
    pub channels: Channels,
    /// Whether it passes quiet hours.
    pub is_critical: bool,
    /// When it begins; `None` for at once.
    pub due_at: Option<Timestamp>,
    /// What makes a retry the same request.
    pub key: Option<IdempotencyKey>,
}
