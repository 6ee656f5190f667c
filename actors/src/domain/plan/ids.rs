//! Where the ids of new rows come from.

use std::fmt::Debug;

use super::super::ids::{CommentId, DeliveryId, MessageId, NotificationId};

/// Gives out ids of new rows, each once over all nodes. The order in which they are given says
/// nothing: another node's rows may have higher ids and be older.
pub trait Ids: Debug {
    /// A message's.
    fn message(&self) -> MessageId;
    /// A notification's.
    fn notification(&self) -> NotificationId;
    /// A delivery's.
    fn delivery(&self) -> DeliveryId;
    /// A comment's.
    fn comment(&self) -> CommentId;
}
