//! The families of clients: where each connects, and what it reads of a frame.

use serde_json::Value;

/// A family of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Family {
    Incident,
    Project,
    Inbox,
    Academy,
    /// A project's board: its tickets' changes.
    Tickets,
    /// A project's board: who is there.
    Presence,
    V1,
}

/// In turn, so that each has its share of the clients.
const TURN: [Family; 10] = [
    Family::Incident,
    Family::V1,
    Family::Inbox,
    Family::Academy,
    Family::Presence,
    Family::Project,
    Family::V1,
    Family::Incident,
    Family::Tickets,
    Family::Inbox,
];

/// The key of an inbox' counter.
const UNREAD: &str = "unread_count";

/// A frame, as far as clients use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// The session is established (the families).
    Greeting,
    /// The session is established (`bellpull.v1`).
    Welcome { last_seq: u64, epoch: String, unread: Option<u64> },
    /// Drop everything (`bellpull.v1`).
    Reset,
    /// A notification.
    Row { seq: u64, id: u64, is_read: bool, unread: Option<u64> },
    /// Rows changed; without a number but in `bellpull.v1`.
    Changed {
        seq: Option<u64>,
        ids: Vec<u64>,
        is_read: bool,
        is_deleted: bool,
        unread: Option<u64>,
    },
    /// The beginning of the backlog is missing.
    Truncated,
    /// The answer to `get_notifications`: numbers and ids.
    List(Vec<(u64, u64)>),
    /// Who is there.
    Present(Vec<u64>),
    /// A user came.
    Joined(u64),
    /// A user went.
    Left(u64),
    /// A ticket changed.
    Ticket { id: u64, version: u64 },
    /// A comment was added.
    Comment { id: u64 },
    /// The answer to a ping.
    Pong,
    /// The server's complaint.
    Error(String),
    /// Nothing that clients of this tool use.
    Other,
}

impl Family {
    /// That of a client.
    pub(super) fn of(client: usize) -> Self {
        TURN[client % TURN.len()]
    }

    /// Where it connects, without token and position.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Incident => "/ws/notifications/?dialect=incident",
            Self::Project => "/ws/notifications/?dialect=project",
            Self::Inbox => "/ws/notifications/?dialect=inbox",
            Self::Academy => "/ws/notifications/?dialect=academy",
            Self::Tickets => "/ws/projects/1/tickets/?dialect=project",
            Self::Presence => "/ws/projects/1/presence/?dialect=project",
            Self::V1 => "/ws/?dialect=bellpull.v1",
        }
    }

    /// Reads a frame.
    pub(super) fn read(self, text: &str) -> Frame {
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            return Frame::Error(format!("no JSON: {text}"));
        };
        match frame["type"].as_str() {
            Some("connection_established") => Frame::Greeting,
            Some("pong") => Frame::Pong,
            Some("error") => Frame::Error(text.to_owned()),
            Some("backlog_truncated") => Frame::Truncated,
            Some(kind) => self.read_own(kind, &frame),
            None if frame["notification_type"].is_string() => row(&frame, "id", "is_read"),
            None => Frame::Other,
        }
    }

    fn read_own(self, kind: &str, frame: &Value) -> Frame {
        let inner = &frame["notification"];
        match (self, kind) {
            (Self::Project, "notification_message") => {
                row(&frame["data"], "notification_id", "is_read")
            }
            (Self::Inbox, "notification") => row(inner, "id", "read"),
            (Self::Inbox, "notifications_list") => {
                let listed = frame["notifications"].as_array().into_iter().flatten();
                Frame::List(
                    listed.filter_map(|row| Some((id(row, "seq")?, id(row, "id")?))).collect(),
                )
            }
            (Self::Academy, "new_notification") => row(inner, "id", "is_read"),
            (Self::Academy, "notification_updated") => {
                let ids = id(frame, "notification_id").into_iter().collect();
                let (is_read, is_deleted) = (frame["is_read"] == true, frame["deleted"] == true);
                let unread = id(frame, UNREAD);
                Frame::Changed { seq: None, ids, is_read, is_deleted, unread }
            }
            (Self::Presence, "presence_state") => {
                let users = frame["users"].as_array().into_iter().flatten();
                Frame::Present(users.filter_map(|user| id(user, "user_id")).collect())
            }
            (Self::Presence, "user_status") => {
                match (frame["action"].as_str(), id(frame, "user_id")) {
                    (Some("joined"), Some(user)) => Frame::Joined(user),
                    (Some("left"), Some(user)) => Frame::Left(user),
                    (_, _) => Frame::Other,
                }
            }
            (Self::Tickets, "ticket_update") => {
                let data = &frame["data"];
                match (id(data, "ticket_id"), id(data, "version")) {
                    (Some(id), Some(version)) => Frame::Ticket { id, version },
                    (_, _) => Frame::Other,
                }
            }
            (Self::Tickets, "comment_added") => {
                id(&frame["data"]["comment"], "id").map_or(Frame::Other, |id| Frame::Comment { id })
            }
            (Self::V1, _) => read_v1(kind, frame),
            (_, _) => Frame::Other,
        }
    }
}

fn read_v1(kind: &str, frame: &Value) -> Frame {
    match kind {
        "welcome" => Frame::Welcome {
            last_seq: id(frame, "last_seq").unwrap_or_default(),
            epoch: frame["epoch"].as_str().unwrap_or_default().to_owned(),
            unread: id(frame, UNREAD),
        },
        "reset" => Frame::Reset,
        "notification" => row(frame, "id", "is_read"),
        "inbox" => Frame::Changed {
            seq: id(frame, "seq"),
            ids: frame["ids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
            is_read: frame["is_read"] == true,
            is_deleted: frame["deleted"] == true,
            unread: id(frame, UNREAD),
        },
        _ => Frame::Other,
    }
}

fn row(object: &Value, own_id: &str, is_read: &str) -> Frame {
    match (id(object, "seq"), id(object, own_id)) {
        (Some(seq), Some(own)) => {
            let (is_read, unread) = (object[is_read] == true, id(object, UNREAD));
            Frame::Row { seq, id: own, is_read, unread }
        }
        (_, _) => Frame::Error(format!("a notification without a number: {object}")),
    }
}

fn id(object: &Value, key: &str) -> Option<u64> {
    object[key].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(family: &str, name: &str) -> String {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
        std::fs::read_to_string(format!("{root}/{family}/{name}.json")).unwrap()
    }

    #[test]
    fn each_family_reads_the_frames_that_it_is_sent() {
        let rows = [
            (Family::Incident, golden("incident", "ticket_created")),
            (Family::Project, golden("project", "ticket_assigned")),
            (Family::Academy, golden("academy", "new_notification")),
            (Family::Inbox, golden("inbox", "notification")),
            (Family::V1, golden("bellpull.v1", "notification")),
        ];
        for (family, text) in rows {
            let frame = family.read(&text);
            assert!(matches!(frame, Frame::Row { .. }), "{family:?}: {frame:?} of {text}");
        }
        for family in (0..10).map(Family::of) {
            assert_eq!(family.read(r#"{"type":"pong","timestamp":1}"#), Frame::Pong);
            let error = family.read(r#"{"type":"error","code":"x","message":"y"}"#);
            assert!(matches!(error, Frame::Error(_)));
            assert!(matches!(family.read("no"), Frame::Error(_)));
        }
    }

    #[test]
    fn boards_read_their_streams() {
        let joined = r#"{"type":"user_status","action":"joined","username":"x","user_id":5}"#;
        assert_eq!(Family::Presence.read(joined), Frame::Joined(5));
        let state = r#"{"type":"presence_state","users":[{"user_id":3},{"user_id":4}]}"#;
        assert_eq!(Family::Presence.read(state), Frame::Present(vec![3, 4]));
        let update = r#"{"type":"ticket_update","action":"updated",
            "data":{"ticket_id":123,"version":3}}"#;
        assert_eq!(Family::Tickets.read(update), Frame::Ticket { id: 123, version: 3 });
    }
}
