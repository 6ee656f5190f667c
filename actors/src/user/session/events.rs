//! What a session is shown of the streams that it watches.
//!
//! While its connection accepts no more, events wait apart from the outlet's buffer, where a newer
//! one about the same replaces an older one ([`Waiting`]). They are shown when the buffer was
//! written, a few at a time: what is in the buffer is not replaced any more.

use std::sync::Arc;

use super::super::subscription::Phase;
use super::super::waiting::Waiting;
use super::SessionState;
use bellpull_domain::stream::SharedStreamEvent;
use bellpull_port::budget::Budget;
use bellpull_port::outlet::{Broken, Outgoing};

/// How many waiting events are shown before the connection must have accepted them.
const PORTION: usize = 16;

impl SessionState {
    /// Shows a stream's event, if the session watches it: now, or when the connection accepts it.
    ///
    /// # Errors
    /// [`Broken::TooSlow`] if more would wait than may.
    pub(in crate::user) fn show_event(
        &mut self,
        event: &Arc<SharedStreamEvent>,
        unsent: &Budget,
    ) -> Result<(), Broken> {
        let is_blocked = self.is_blocked;
        let Some(known) =
            self.rest.streams.iter_mut().find(|known| {
                known.stream == event.stream && matches!(known.phase, Phase::Stands(_))
            })
        else {
            return Ok(());
        };
        if !is_blocked {
            self.push(Outgoing::Stream(event));
            return Ok(());
        }
        if known.waiting.get_or_insert_default().add(event, unsent)? {
            metrics::counter!("bellpull_stream_events_merged_total").increment(1);
        }
        Ok(())
    }

    /// Shows the next few waiting events, of each stream in turn; returns whether there were any.
    pub(super) fn show_waiting(&mut self) -> bool {
        let count = self.rest.streams.len();
        let mut shown = 0;
        while shown < PORTION
            && let Some(event) = (0..count).find_map(|n| {
                let waiting = &mut self.rest.streams[(shown + n) % count].waiting;
                let event = waiting.as_deref_mut().and_then(Waiting::take);
                waiting.take_if(|_| event.is_none());
                event
            })
        {
            self.push(Outgoing::Stream(&event));
            shown += 1;
        }
        shown > 0
    }

    /// Bytes that the connection has not accepted, of frames and of waiting events.
    pub(in crate::user) fn waiting_bytes(&self) -> usize {
        let waiting = self.rest.streams.iter().filter_map(|known| known.waiting.as_ref());
        self.outlet.waiting_bytes() + waiting.map(|waiting| waiting.bytes()).sum::<usize>()
    }
}
