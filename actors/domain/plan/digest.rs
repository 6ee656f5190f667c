//! Digests: which deliveries go out in one e-mail.
//!
//! The first attempt fixes an e-mail's contents: it keeps its `Message-ID` over retries, and a
//! server that has accepted the first of two attempts may drop the second unread. Later
//! notifications go out with the next e-mail.

use crate::ids::{DeliveryId, MessageId, NotificationId};

/// The most notifications of one e-mail: more than a reader takes in. The others follow in another.
pub const NOTIFICATIONS_MAX: usize = 100;

/// A delivery that is sent in an e-mail with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The delivery.
    pub id: DeliveryId,
    /// Its notification, if it has one.
    pub notification: Option<NotificationId>,
    /// The number of the attempt.
    pub attempt: u32,
    /// Its message.
    pub message: MessageId,
}

/// An e-mail of several deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Its name, which it keeps over retries: the first of the deliveries that it began with.
    pub name: DeliveryId,
    /// Its deliveries, the oldest first, and of each whether it is leased for this e-mail: the
    /// others are leased already.
    pub parts: Vec<(Part, bool)>,
}

/// How many due deliveries may join an e-mail that has this many: those are leased already, and
/// must not be left out.
#[must_use]
pub fn room(begun: usize) -> usize {
    NOTIFICATIONS_MAX.saturating_sub(begun)
}

/// Joins the deliveries of one e-mail: those that are leased, and those that are due for it. A
/// first attempt has no name yet. `None` without any.
#[must_use]
pub fn email(
    name: Option<DeliveryId>,
    leased: impl IntoIterator<Item = Part>,
    joined: impl IntoIterator<Item = Part>,
) -> Option<Email> {
    let mut parts: Vec<(Part, bool)> = leased.into_iter().map(|part| (part, false)).collect();
    parts.extend(joined.into_iter().map(|part| (part, true)));
    parts.sort_unstable_by_key(|(part, _)| part.id);
    let name = name.or(parts.first().map(|(part, _)| part.id))?;
    (!parts.is_empty()).then_some(Email { name, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(ids: &[i64]) -> Vec<Part> {
        let part = |id: &i64| Part {
            id: DeliveryId(*id),
            notification: Some(NotificationId(*id)),
            attempt: 1,
            message: MessageId(*id),
        };
        ids.iter().map(part).collect()
    }

    #[test]
    fn an_email_is_named_by_its_first_delivery_and_keeps_its_name() {
        for (name, leased, joined, wanted) in [
            (
                None,
                &[7, 5][..],
                &[6, 3][..],
                (3, &[(3, true), (5, false), (6, true), (7, false)][..]),
            ),
            (None, &[7], &[], (7, &[(7, false)])),
            // A retry whose first delivery is not part of it any more.
            (Some(2), &[7], &[4], (2, &[(4, true), (7, false)])),
        ] {
            let found = email(name.map(DeliveryId), parts(leased), parts(joined)).unwrap();
            let ids: Vec<(i64, bool)> =
                found.parts.iter().map(|(part, is_joined)| (part.id.0, *is_joined)).collect();
            assert_eq!((found.name.0, ids.as_slice()), wanted);
        }
        assert_eq!(email(None, [], []), None);
        assert_eq!(email(Some(DeliveryId(2)), [], []), None);
    }

    #[test]
    fn an_email_has_so_many_notifications_and_no_more() {
        assert_eq!((room(1), room(NOTIFICATIONS_MAX - 1)), (NOTIFICATIONS_MAX - 1, 1));
        assert_eq!((room(NOTIFICATIONS_MAX), room(NOTIFICATIONS_MAX + 1)), (0, 0));
    }
}
