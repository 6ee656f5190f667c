//! The source of new rows' ids.

use std::fmt::Debug;

use super::super::ids::{CommentId, DeliveryId, MessageId, NotificationId};

/// Generates ids of new rows, unique over all nodes. Their order has no meaning: another node's
/// rows may have higher ids and be older.
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
