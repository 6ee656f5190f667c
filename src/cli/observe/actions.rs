//! What an operator can do to an actor. The footer, the help, the questions and the requests all
//! come from this one list, so that none of them differs from another.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::sessions::{HEADING, Session, sessions};
use crate::cli::tree::Actor;

/// What is encoded in a path. A node's `web-1` stays as it is, also in the audit log.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// For how long messages are watched.
const WATCH_S: u32 = 300;

/// For how long a circuit is opened.
const OPEN_FOR: [(Option<u32>, &str); 6] = [
    (None, "until it is closed"),
    (Some(600), "for 10 minutes"),
    (Some(3_600), "for an hour"),
    (Some(8 * 3_600), "for 8 hours"),
    (Some(24 * 3_600), "for a day"),
    (Some(7 * 24 * 3_600), "for a week"),
];

/// Something that an operator can do to actors of a kind.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) key: char,
    /// For the footer.
    pub(super) label: &'static str,
    /// For the help.
    pub(super) help: &'static str,
    /// Above the requests, where there are several to choose from.
    pub(super) heading: &'static str,
    requests: fn(&Actor) -> Vec<Request>,
}

/// A request to the hub, sent once it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// How it is listed where there are several.
    pub(super) choice: String,
    pub(super) question: String,
    /// Of the REST interface, for `POST`.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// What it has done, if the hub's answer has no text.
    pub(super) done: String,
    /// What it has not done if the hub refuses it.
    pub(super) failed: String,
}

/// All of them. No two have the same key, and none has one of [`super::keys`].
pub(super) const ACTIONS: [Action; 7] = [
    Action {
        key: 'r',
        label: "restart",
        help: "restart the actor",
        heading: "",
        requests: restart,
    },
    Action {
        key: 'c',
        label: "close a session",
        help: "close a session of a user",
        heading: HEADING,
        requests: close_session,
    },
    Action {
        key: 'L',
        label: "log out",
        help: "log out a user: all logins end",
        heading: "",
        requests: log_out,
    },
    Action {
        key: 'o',
        label: "open the circuit",
        help: "open a channel's circuit: this node sends nothing on it",
        heading: " open",
        requests: open_circuit,
    },
    Action {
        key: 'C',
        label: "close the circuit",
        help: "close a channel's circuit: it sends again at once",
        heading: "",
        requests: close_circuit,
    },
    Action {
        key: 'w',
        label: "watch messages on/off",
        help: "watch an actor's messages for 5 minutes, or stop it",
        heading: "",
        requests: watch,
    },
    Action {
        key: 'd',
        label: "drain the node",
        help: "drain a node",
        heading: "",
        requests: drain,
    },
];

impl Action {
    /// The requests that it can make of this actor: none if it is not for it.
    pub(super) fn requests(&self, actor: &Actor) -> Vec<Request> {
        (self.requests)(actor)
    }
}

/// The actions that this actor has now.
pub(super) fn actions(actor: &Actor) -> impl Iterator<Item = &'static Action> {
    ACTIONS.iter().filter(|action| !action.requests(actor).is_empty())
}

fn restart(actor: &Actor) -> Vec<Request> {
    if matches!(actor.path.as_str(), "hub" | "cluster") {
        return Vec::new();
    }
    let [on, path] = [place(actor), encoded(&actor.path)];
    vec![Request {
        choice: String::new(),
        question: format!("Restart {on}? Its state is rebuilt from the store."),
        path: at_node(actor, &format!("actors/{path}/restart/")),
        body: None,
        done: format!("{} starts again", actor.path),
        failed: format!("{} not restarted", actor.path),
    }]
}

fn close_session(actor: &Actor) -> Vec<Request> {
    let Some(user) = actor.path.strip_prefix("user/") else { return Vec::new() };
    let [on, user] = [place(actor), encoded(user)];
    let close = |session: &Session| {
        let number = session.id;
        let peer = session.address().unwrap_or("an unknown address");
        let session_of = format!("session {number} of {}", actor.path);
        Request {
            choice: session.row(),
            question: format!(
                "Close session {number} of {on}, from {peer}? Its client may reconnect and misses \
                 nothing."
            ),
            path: at_node(actor, &format!("users/{user}/sessions/{number}/close/")),
            body: None,
            done: format!("{session_of} is closed"),
            failed: format!("{session_of} not closed"),
        }
    };
    sessions(actor).iter().map(close).collect()
}

fn log_out(actor: &Actor) -> Vec<Request> {
    let Some(user) = actor.path.strip_prefix("user/") else { return Vec::new() };
    vec![Request {
        choice: String::new(),
        question: format!(
            "Log out {}? All logins of the account end, on all nodes; its user may log in again.",
            actor.path
        ),
        path: format!("/api/users/{}/logout/", encoded(user)),
        body: None,
        done: format!("all logins of {} have ended", actor.path),
        failed: format!("{} not logged out", actor.path),
    }]
}

fn open_circuit(actor: &Actor) -> Vec<Request> {
    let open = |&(for_s, time): &(Option<u32>, &str)| {
        let mut body = json!({"state": "open"});
        if let Some(for_s) = for_s {
            body["for_s"] = for_s.into();
        }
        let question = format!(
            "Open the circuit of {} {time}? This node begins no delivery there, at the latest \
             until its process ends. Deliveries stay queued; other nodes still send them.",
            place(actor)
        );
        Request { choice: format!(" {time}"), ..circuit(actor, question, body) }
    };
    match is_channel_unless(actor, "open") {
        true => OPEN_FOR.iter().map(open).collect(),
        false => Vec::new(),
    }
}

fn close_circuit(actor: &Actor) -> Vec<Request> {
    if !is_channel_unless(actor, "closed") {
        return Vec::new();
    }
    let question = format!(
        "Close the circuit of {}? It sends at once, whatever has failed before.",
        place(actor)
    );
    vec![circuit(actor, question, json!({"state": "closed"}))]
}

/// Whether it is a channel whose circuit is not in that state already.
fn is_channel_unless(actor: &Actor, state: &str) -> bool {
    actor.path.starts_with("channels/") && actor.observed["circuit"] != state
}

fn circuit(actor: &Actor, question: String, body: Value) -> Request {
    let channel = actor.path.strip_prefix("channels/").unwrap_or_default();
    Request {
        choice: String::new(),
        question,
        path: at_node(actor, &format!("channels/{}/circuit/", encoded(channel))),
        body: Some(body),
        done: format!("the circuit of {channel} has changed"),
        failed: format!("the circuit of {channel} has not changed"),
    }
}

fn watch(actor: &Actor) -> Vec<Request> {
    if actor.path == "cluster" || is_gone(actor) {
        return Vec::new();
    }
    let on = place(actor);
    let minutes = WATCH_S / 60;
    let (question, for_s, done) = match &actor.messages {
        None => (
            format!(
                "Watch the messages of {on} for {minutes} minutes? Their content is not shown."
            ),
            WATCH_S,
            format!("the messages of {} are watched for {minutes} minutes", actor.path),
        ),
        Some(_) => (
            format!("Stop watching the messages of {on}?"),
            0,
            format!("the messages of {} are no longer watched", actor.path),
        ),
    };
    vec![Request {
        choice: String::new(),
        question,
        path: at_node(actor, &format!("actors/{}/trace/", encoded(&actor.path))),
        body: Some(json!({"for_s": for_s})),
        done,
        failed: format!("the messages of {} are watched as before", actor.path),
    }]
}

fn drain(actor: &Actor) -> Vec<Request> {
    if actor.path != "hub" || is_gone(actor) || actor.observed["draining"] == "yes" {
        return Vec::new();
    }
    let node = &actor.node;
    vec![Request {
        choice: String::new(),
        question: format!(
            "Stop {node}? Its sessions reconnect to other nodes, and its process ends."
        ),
        path: format!("/api/operator/nodes/{}/drain/", encoded(node)),
        body: None,
        done: format!("{node} is stopping"),
        failed: format!("{node} not stopped"),
    }]
}

/// A node's root whose process does not answer.
fn is_gone(actor: &Actor) -> bool {
    matches!(actor.state.as_str(), "left" | "unreachable")
}

fn place(actor: &Actor) -> String {
    format!("{} on {}", actor.path, actor.node)
}

/// A path for operators, at the actor's own node: any node passes it on.
fn at_node(actor: &Actor, path: &str) -> String {
    format!("/api/operator/{path}?node={}", encoded(&actor.node))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::*;
    use ratatui::crossterm::event::KeyCode;

    fn actor(path: &str, observed: Value) -> Actor {
        let json = json!({"node": "a-1/b", "path": path, "observed": observed});
        serde_json::from_value(json).unwrap()
    }

    fn keys(actor: &Actor) -> String {
        actions(actor).map(|action| action.key).collect()
    }

    fn requests(actor: &Actor, key: char) -> Vec<Request> {
        ACTIONS.iter().find(|action| action.key == key).unwrap().requests(actor)
    }

    fn sessions_of_two() -> Value {
        json!({"sessions": [
            {"id": 3, "by": "socket", "dialect": "inbox", "peer": "10.0.0.1:50000"},
            {"id": 7, "by": "stream", "dialect": "bellpull.v1"}]})
    }

    #[test]
    fn each_actor_has_the_actions_of_its_kind_and_state() {
        for (path, observed, wanted) in [
            ("cluster", Value::Null, ""),
            ("hub", json!({"draining": "no"}), "wd"),
            ("hub", json!({"draining": "yes"}), "w"),
            ("users/0", Value::Null, "rw"),
            ("user/1", json!({"sessions": []}), "rLw"),
            ("user/1", sessions_of_two(), "rcLw"),
            ("channels", Value::Null, "rw"),
            ("channels/email", json!({"circuit": "closed"}), "row"),
            ("channels/email", json!({"circuit": "open"}), "rCw"),
            ("channels/email", json!({"circuit": "half_open"}), "roCw"),
            ("channels/email", Value::Null, "roCw"),
        ] {
            assert_eq!(keys(&actor(path, observed)), wanted, "{path}");
        }
        for state in ["left", "unreachable"] {
            let gone = Actor { state: state.to_owned(), ..actor("hub", Value::Null) };
            assert_eq!(keys(&gone), "", "{state}");
        }
    }

    #[test]
    fn no_key_of_an_action_means_something_else() {
        for (nth, action) in ACTIONS.iter().enumerate() {
            let pressed = Key::Pressed(KeyCode::Char(action.key));
            assert_eq!(pressed.navigation(), None, "{}", action.key);
            assert!(ACTIONS[..nth].iter().all(|other| other.key != action.key), "{}", action.key);
        }
    }

    #[test]
    fn requests_name_the_node_and_are_encoded() {
        let user = actor("user/1", sessions_of_two());
        let [first, second] = requests(&user, 'c').try_into().unwrap();
        assert_eq!(first.path, "/api/operator/users/1/sessions/3/close/?node=a-1%2Fb");
        assert!(first.question.contains("session 3 of user/1 on a-1/b, from 10.0.0.1:50000"));
        assert_eq!(second.path, "/api/operator/users/1/sessions/7/close/?node=a-1%2Fb");
        assert_eq!(
            (&second.body, second.failed.as_str()),
            (&None, "session 7 of user/1 not closed")
        );
        let log_out = &requests(&user, 'L')[0];
        assert_eq!(log_out.path, "/api/users/1/logout/");
        let restart = &requests(&user, 'r')[0];
        assert_eq!(restart.path, "/api/operator/actors/user%2F1/restart/?node=a-1%2Fb");
        let drain = &requests(&actor("hub", Value::Null), 'd')[0];
        assert_eq!(drain.path, "/api/operator/nodes/a-1%2Fb/drain/");
    }

    #[test]
    fn a_circuit_is_opened_without_or_for_a_time() {
        let open = requests(&actor("channels/email", json!({"circuit": "closed"})), 'o');
        let path = "/api/operator/channels/email/circuit/?node=a-1%2Fb";
        assert!(open.iter().all(|one| one.path == path), "{open:?}");
        assert_eq!(open[0].body, Some(json!({"state": "open"})));
        assert_eq!(open[1].body, Some(json!({"state": "open", "for_s": 600})));
        assert!(open[1].question.contains("channels/email on a-1/b for 10 minutes?"));
        let close = &requests(&actor("channels/email", json!({"circuit": "open"})), 'C')[0];
        assert_eq!(close.body, Some(json!({"state": "closed"})));
    }

    #[test]
    fn what_is_watched_can_be_stopped() {
        let mut ticket = actor("ticket/1", Value::Null);
        let watch = &requests(&ticket, 'w')[0];
        assert_eq!(watch.path, "/api/operator/actors/ticket%2F1/trace/?node=a-1%2Fb");
        assert_eq!(watch.body, Some(json!({"for_s": 300})));
        ticket.messages = Some(Default::default());
        let stop = &requests(&ticket, 'w')[0];
        assert_eq!(stop.body, Some(json!({"for_s": 0})));
        assert!(stop.question.starts_with("Stop watching"), "{}", stop.question);
    }
}
