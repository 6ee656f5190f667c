//! What the user is asked: words to search for, which of several requests is meant, whether one is
//! to be sent.

use super::actions::{Action, Request};
use super::keys::Row;
use crate::cli::tree::Actor;

/// What the user is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// The words to search for.
    Search,
    /// Which of several requests is meant.
    Choice(Choice),
    /// Whether this request is to be sent.
    Confirmation(Request),
}

/// Requests to choose from, as they were when the key was pressed: a tree that comes meanwhile does
/// not move another one to the selected line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) title: String,
    pub(super) heading: &'static str,
    pub(super) requests: Vec<Request>,
    pub(super) at: usize,
}

impl Asked {
    /// What is asked before an action; `None` if the actor does not have it now.
    pub(super) fn before(action: &Action, actor: &Actor) -> Option<Self> {
        let requests = action.requests(actor);
        if let [only] = requests.as_slice() {
            return Some(Self::Confirmation(only.clone()));
        }
        let title = format!("{} of {} on {}", action.label, actor.path, actor.node);
        let choice = Choice { title, heading: action.heading, requests, at: 0 };
        (!choice.requests.is_empty()).then_some(Self::Choice(choice))
    }
}

impl Choice {
    /// The question of the selected request.
    pub(super) fn chosen(&self) -> Asked {
        self.requests.get(self.at).cloned().map_or(Asked::Nothing, Asked::Confirmation)
    }

    /// Selects another one.
    pub(super) fn select(&mut self, row: Row, page: usize) {
        self.at = row.from(self.at, page, self.requests.len());
    }
}
