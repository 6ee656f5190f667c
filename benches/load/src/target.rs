//! A server, ready for a run: its address, its users, and how a message is sent.

use std::net::{IpAddr, Ipv4Addr};

use super::LoadError;
use super::mark::Mark;
use super::pipe::{Ready, Setup};
use super::plan::{Place, Plain, Plan, Publish, Running, Server};
use super::readings::allow_files;
use super::spawn::{Spawned, bare, hub};
use super::tokens::{LISTENER, Participants, Roster};

/// The path of our hubs' sockets; in this dialect, marks are cheap to find.
const HUB_PATH: &str = "/ws/notifications/?dialect=incident";
/// The recipients of the messages.
const SEND_PATH: &str = "/api/notifications/";
/// The approximate size of the frame around the message in our hubs.
const FRAME_BYTES: usize = 130;
/// The number of ports for connections from one loopback address.
const LOCAL_SOURCES: u8 = 8;

/// A server for one run. One that was started for it is terminated with it.
#[derive(Debug)]
pub struct Target {
    /// Its name in the output.
    pub name: String,
    /// The setup of its listeners.
    pub setup: Setup,
    /// How a message is sent.
    pub publish: Option<Publish>,
    /// Its process id.
    pub pid: Option<u32>,
    /// The run's id in marks.
    pub run: u32,
    /// The address of its REST interface.
    pub place: Place,
    /// The bytes around a message.
    overhead: usize,
    _spawned: Option<Spawned>,
}

impl Server {
    /// Its name in the output.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Spawned(None) => "bellpull".to_owned(),
            Self::Spawned(Some(binary)) => binary.display().to_string(),
            Self::Bare => "bare loop".to_owned(),
            Self::Running(running) => running.place.url.clone(),
        }
    }

    /// Prepares it for a run with these users.
    ///
    /// # Errors
    /// See the text.
    pub async fn open(&self, plan: &Plan, roster: &Roster) -> Result<Target, LoadError> {
        let run = getrandom::u32().map_err(|error| LoadError::Failed(error.to_string()))?;
        let mut target = match self {
            Self::Spawned(binary) => {
                let remedy = "use fewer users, or raise the limit";
                allow_files(roster.listeners(), "the hub", remedy)?;
                let (spawned, place, participants) = hub(binary.as_deref(), roster).await?;
                of_hub(place, participants, Some(spawned))
            }
            Self::Bare => {
                allow_files(roster.listeners(), "the bare loop", "use fewer users")?;
                let (spawned, place) = bare()?;
                let participants = super::tokens::Login::Anonymous.participants(roster)?;
                let publish = hub_publish(&place, "");
                let mut target = of_hub(place, participants, Some(spawned));
                target.setup.headers.clear();
                target.publish = Some(publish);
                target
            }
            Self::Running(running) => running.target(plan.login.participants(roster)?),
        };
        target.name = self.name();
        target.run = run;
        target.setup.run = run;
        target.setup.sources.clone_from(&plan.sources);
        if plan.sources.is_empty() && target.setup.address.ip() == Ipv4Addr::LOCALHOST {
            let local = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
            target.setup.sources = (1..=LOCAL_SOURCES).map(local).collect();
        }
        Ok(target)
    }
}

impl Target {
    /// The body of a send, for frames of the requested size.
    #[must_use]
    pub fn body(&self, publish: &Publish, mark: Mark, bytes: usize) -> String {
        let message = mark.message(bytes.saturating_sub(self.overhead));
        publish.body.replace("{message}", &message)
    }

    /// How messages are sent.
    ///
    /// # Errors
    /// No option says how.
    pub fn publish(&self) -> Result<&Publish, LoadError> {
        self.publish.as_ref().ok_or_else(|| {
            LoadError::Wrong(format!(
                "--publish-url: missing: how is a message sent at {}? (a hub of ours accepts \
                 --jwt-secret or --sender-token instead)",
                self.name
            ))
        })
    }
}

impl Running {
    fn target(&self, participants: Participants) -> Target {
        let Some(plain) = &self.plain else {
            let mut target = of_hub(self.place.clone(), participants, None);
            target.pid = self.pid;
            return target;
        };
        let Plain { subscribe, ready, headers, publish } = plain.clone();
        let setup = Setup {
            path: self.place.path.clone(),
            headers,
            subscribe,
            ready,
            has_positions: false,
            are_marks_ordered: true,
            ..setup(&self.place, participants)
        };
        let place = self.place.clone();
        Target {
            publish,
            overhead: 0,
            pid: self.pid,
            ..Target { setup, ..of_hub(place, Participants::default(), None) }
        }
    }
}

fn setup(place: &Place, participants: Participants) -> Setup {
    Setup {
        address: place.address,
        host: place.host.clone(),
        path: if place.path == "/" { HUB_PATH.to_owned() } else { place.path.clone() },
        headers: vec!["Authorization: Bearer {token}".to_owned()],
        subscribe: None,
        ready: Ready::Frame("\"connection_established\"".to_owned()),
        participants: participants.listeners,
        sources: Vec::new(),
        run: 0,
        has_positions: true,
        are_marks_ordered: false,
        are_frames_reported: false,
        read_wait_ns: 0,
    }
}

fn of_hub(place: Place, participants: Participants, spawned: Option<Spawned>) -> Target {
    let publish = participants.sender.as_ref().map(|sender| hub_publish(&place, &sender.token));
    Target {
        name: String::new(),
        setup: setup(&place, participants),
        publish,
        pid: spawned.as_ref().map(Spawned::pid),
        run: 0,
        place,
        overhead: FRAME_BYTES,
        _spawned: spawned,
    }
}

fn hub_publish(place: &Place, token: &str) -> Publish {
    let body = serde_json::json!({
        "recipients": {"role": LISTENER}, "title": "Load", "message": "{message}",
    });
    let place = Place { path: SEND_PATH.to_owned(), ..place.clone() };
    let headers =
        vec![format!("Authorization: Bearer {token}"), "Content-Type: application/json".to_owned()];
    Publish { place, headers, body: body.to_string() }
}
