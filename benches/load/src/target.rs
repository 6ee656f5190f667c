//! A server, ready for a run: its address, its users, and how a message is sent.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::LoadError;
use super::mark::Mark;
use super::pipe::{Node, Ready, Setup};
use super::plan::{Place, Plain, Plan, Publish, Running, Server};
use super::readings::allow_files;
use super::rest::Rest;
use super::spawn::bare;
use super::started::{Started, cluster, hub};
use super::tokens::{LISTENER, Login, Participants, Roster};

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
    /// The process ids of its nodes, as far as known.
    pub pids: Vec<u32>,
    /// The run's id in marks.
    pub run: u32,
    /// The addresses of its nodes' REST interface.
    pub places: Vec<Place>,
    /// The bytes around a message.
    overhead: usize,
    _started: Option<Started>,
}

impl Server {
    /// Its name in the output.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Spawned(None) => "bellpull".to_owned(),
            Self::Spawned(Some(binary)) => binary.display().to_string(),
            Self::Cluster(1) => "1 node".to_owned(),
            Self::Cluster(count) => format!("{count} nodes"),
            Self::Bare => "bare loop".to_owned(),
            Self::Running(running) => running.name(),
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
                let (started, places, participants) = hub(binary.as_deref(), roster).await?;
                of_hub(places, participants, Some(started))
            }
            Self::Cluster(count) => {
                let remedy = "use fewer users, or raise the limit";
                allow_files(roster.listeners().div_ceil(*count), "each node", remedy)?;
                let (started, places, participants) = cluster(*count, roster).await?;
                of_hub(places, participants, Some(started))
            }
            Self::Bare => {
                allow_files(roster.listeners(), "the bare loop", "use fewer users")?;
                let (spawned, place) = bare()?;
                let participants = super::tokens::Login::Anonymous.participants(roster)?;
                let publish = hub_publish(std::slice::from_ref(&place), "");
                let started = Some(Started::Server(spawned));
                let mut target = of_hub(vec![place], participants, started);
                target.setup.headers.clear();
                target.publish = Some(publish);
                target
            }
            Self::Running(running) => {
                let participants = plan.login.participants(roster)?;
                if running.plain.is_none() && !matches!(plan.login, Login::Anonymous) {
                    super::roles::check(&running.places[0], &participants, roster, plan.patience)?;
                }
                running.target(participants)
            }
        };
        target.name = self.name();
        target.run = run;
        target.setup.run = run;
        target.setup.sources.clone_from(&plan.sources);
        let is_local = |node: &Node| node.address.ip() == Ipv4Addr::LOCALHOST;
        if plan.sources.is_empty() && target.setup.nodes.iter().all(is_local) {
            let local = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
            target.setup.sources = (1..=LOCAL_SOURCES).map(local).collect();
        }
        Ok(target)
    }
}

impl Target {
    /// A connection for requests; each to the next node.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn connect(&self, nth: usize, patience: Duration) -> Result<Rest, LoadError> {
        self.places[nth % self.places.len()].connect(patience)
    }

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
    /// Its URLs, as they were given.
    fn name(&self) -> String {
        let urls: Vec<&str> = self.places.iter().map(|place| place.url.as_str()).collect();
        urls.join(",")
    }

    fn target(&self, participants: Participants) -> Target {
        let Some(plain) = &self.plain else {
            let mut target = of_hub(self.places.clone(), participants, None);
            target.pids.clone_from(&self.pids);
            return target;
        };
        let Plain { subscribe, ready, headers, publish } = plain.clone();
        let setup = Setup {
            path: self.places[0].path.clone(),
            headers,
            subscribe,
            ready,
            has_positions: false,
            are_marks_ordered: true,
            ..setup(&self.places, participants)
        };
        Target {
            publish,
            overhead: 0,
            pids: self.pids.clone(),
            ..Target { setup, ..of_hub(self.places.clone(), Participants::default(), None) }
        }
    }
}

fn setup(places: &[Place], participants: Participants) -> Setup {
    let node = |place: &Place| Node { address: place.address, host: place.host.clone() };
    let path = places[0].path.as_str();
    Setup {
        nodes: places.iter().map(node).collect(),
        earlier: 0,
        path: if path == "/" { HUB_PATH } else { path }.to_owned(),
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

fn of_hub(places: Vec<Place>, participants: Participants, started: Option<Started>) -> Target {
    let publish = participants.sender.as_ref().map(|sender| hub_publish(&places, &sender.token));
    Target {
        name: String::new(),
        setup: setup(&places, participants),
        publish,
        pids: started.as_ref().map(Started::pids).unwrap_or_default(),
        run: 0,
        places,
        overhead: FRAME_BYTES,
        _started: started,
    }
}

fn hub_publish(places: &[Place], token: &str) -> Publish {
    let body = serde_json::json!({
        "recipients": {"role": LISTENER}, "title": "Load", "message": "{message}",
    });
    let at = |place: &Place| Place { path: SEND_PATH.to_owned(), ..place.clone() };
    let places = places.iter().map(at).collect();
    let headers =
        vec![format!("Authorization: Bearer {token}"), "Content-Type: application/json".to_owned()];
    Publish { places, headers, body: body.to_string() }
}
