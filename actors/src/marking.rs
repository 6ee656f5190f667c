//! A mark of many rows, portion by portion.

use jiff::Timestamp;

use bellpull_domain::ids::UserId;
use bellpull_domain::inbox::{Mark, Marked};
use bellpull_domain::plan::marks::MarkedPortion;
use bellpull_port::inbox::{MarkPortion, Selection};
use bellpull_port::{InboxStore, StoreError, in_time};

/// A mark in progress. Its cursor is in memory: it is answered when all of it is on the disk.
#[derive(Debug)]
pub(crate) struct Marking {
    /// The next portion; `None` once there is none.
    next: Option<MarkPortion>,
    count: usize,
}

impl Marking {
    pub(crate) fn new(user: UserId, selection: Selection, mark: Mark, now: Timestamp) -> Self {
        Self { next: Some(MarkPortion::first(user, selection, mark, now)), count: 0 }
    }

    /// Writes the next portion; its changes, in the order of their numbers. `None` at the end.
    pub(crate) async fn next(
        &mut self,
        inboxes: &dyn InboxStore,
    ) -> Result<Option<Vec<Marked>>, StoreError> {
        let Some(portion) = self.next.take() else { return Ok(None) };
        let MarkedPortion { changes, rest } =
            in_time(inboxes.mark_portion(portion.clone())).await?;
        self.next = rest.map(|before| MarkPortion { before: Some(before), ..portion });
        self.count += changes.iter().map(|change| change.ids.len()).sum::<usize>();
        Ok(Some(changes))
    }

    /// Whether no portion is left.
    pub(crate) fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// How many rows have changed so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}
