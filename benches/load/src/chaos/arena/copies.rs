//! Nodes on a copy of the database, beside the schedule's own on the same Redis, as a rehearsal of
//! an upgrade is set up. What happens there is no concern of the schedule's clients.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::super::fault::Fault;
use super::super::people::{People, one};
use super::super::request::Request;
use super::Arena;
use super::faults::Undo;
use super::site::DATABASE;
use crate::LoadError;
use crate::cluster::{NodeOptions, Nodes};

/// The name of the copy, and the folder of its nodes' logs.
const NAME: &str = "copy";
/// With what the titles begin that are written there.
const TITLE: &str = "copy";
/// How long an answer may take, and the wait between two requests.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(30);
/// Every so many requests a user is logged out.
const LOGOUT_EVERY: u64 = 12;

/// The nodes, and who writes there; both end when this is dropped.
#[derive(Debug)]
pub(super) struct Copies {
    writing: AbortHandle,
    _nodes: Nodes,
}

impl Arena<'_> {
    /// Nodes run on a copy of the database as it is now; those on an earlier copy end. Who is
    /// connected to that database is sent away for it.
    pub(super) async fn copy(&mut self, fault: &Fault) -> Result<(), LoadError> {
        self.copies = None;
        self.pending.retain(|(_, undo)| *undo != Undo::Copy);
        let url = self.services()?.postgres.copy_database(DATABASE, NAME).await?;
        let count = fault.target + 1;
        self.copies = Some(Copies::start(&self.options, url, count, &self.people).await?);
        self.undo_after(fault.time, Undo::Copy);
        Ok(())
    }
}

impl Copies {
    /// Starts one node with a name of its own, or several with the names of the schedule's.
    ///
    /// # Errors
    /// A node does not become ready.
    pub(super) async fn start(
        like: &NodeOptions,
        database: String,
        count: usize,
        people: &People,
    ) -> Result<Self, LoadError> {
        let logs = like.logs.as_deref().unwrap_or(Path::new(".")).join(NAME);
        std::fs::create_dir_all(&logs)
            .map_err(|error| LoadError::failed(format!("{}: {error}", logs.display())))?;
        let mut options = NodeOptions { database, logs: Some(logs), ..like.clone() };
        if count == 1 {
            options.prefix = format!("{NAME}-");
        }
        // The webhooks of the copy would call the schedule's own receiver.
        options.settings.push(("BELLPULL_WEBHOOK_ALLOW_PRIVATE".to_owned(), "false".to_owned()));
        let nodes = Nodes::start(&options, count).await?;
        let (addresses, people) = (nodes.addresses(), people.clone());
        let writing = async move {
            let mut rng = Rng::with_seed(0);
            for number in 1_u64.. {
                let Some(node) = one(&addresses, &mut rng) else { return };
                let Some((path, token, body)) = next(number, &people, &mut rng) else { return };
                // Whether it succeeds does not matter.
                let _ = Request::post(&path, &token, &body).send(*node, PATIENCE).await;
                sleep(PAUSE).await;
            }
        };
        Ok(Self { writing: tokio::spawn(writing).abort_handle(), _nodes: nodes })
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

/// A path, a token and a body: of a notification, a ticket, a mark or a logout.
fn next(
    number: u64,
    people: &People,
    rng: &mut Rng,
) -> Option<(String, String, serde_json::Value)> {
    let admin = &people.checker.token;
    let everyone: Vec<_> = people.listeners().collect();
    let user = one(&everyone, rng)?;
    let title = format!("{TITLE}-{number}");
    if number.is_multiple_of(LOGOUT_EVERY) {
        let path = format!("/api/users/{}/logout/", user.id);
        return Some((path, admin.clone(), json!({})));
    }
    Some(match rng.u8(..8) {
        0 => {
            let path = "/api/notifications/mark_all_as_read/".to_owned();
            (path, user.token.clone(), json!({}))
        }
        1 | 2 => ("/api/tickets/".to_owned(), user.token.clone(), json!({"title": title})),
        _ => {
            let body = json!({"recipients": [user.id], "title": title, "message": TITLE});
            ("/api/notifications/".to_owned(), admin.clone(), body)
        }
    })
}
