//! The trace that a message comes from: its frames and deliveries are made by other tasks, later.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use opentelemetry::trace::SpanContext;

/// A message to ten thousand users is ten thousand frames; a trace shows the first.
const FRAMES_TRACED_MAX: u32 = 50;

/// What a message keeps of its trace. A delivery that another node makes, or this one after a
/// restart, has none.
#[derive(Debug, Default)]
pub struct MessageTrace {
    traced: OnceLock<Box<Traced>>,
    announced: OnceLock<Instant>,
}

#[derive(Debug)]
struct Traced {
    place: Arc<SpanContext>,
    frames_left: AtomicU32,
}

impl MessageTrace {
    /// The message is announced to the users of this node; the first time stays.
    pub fn announce(&self, now: Instant) {
        let _ = self.announced.set(now);
    }

    /// It comes from this place in a trace; the first one stays.
    pub fn keep(&self, place: Option<Arc<SpanContext>>) {
        if let Some(place) = place {
            let frames_left = AtomicU32::new(FRAMES_TRACED_MAX);
            let _ = self.traced.set(Box::new(Traced { place, frames_left }));
        }
    }

    /// When the message was announced on this node; not if it was read from the store.
    #[must_use]
    pub fn announced(&self) -> Option<Instant> {
        self.announced.get().copied()
    }

    /// That of a delivery.
    #[must_use]
    pub fn get(&self) -> Option<Arc<SpanContext>> {
        self.traced.get().map(|traced| Arc::clone(&traced.place))
    }

    /// That of a frame: none once enough of them have one.
    #[must_use]
    pub fn of_frame(&self) -> Option<Arc<SpanContext>> {
        let traced = self.traced.get()?;
        let left = traced.frames_left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.is_ok().then(|| Arc::clone(&traced.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_first_trace_for_so_many_frames() {
        let message = MessageTrace::default();
        message.keep(None);
        assert!(message.get().is_none() && message.of_frame().is_none());
        let [first, second] = [(); 2].map(|()| Arc::new(SpanContext::empty_context()));
        message.keep(Some(Arc::clone(&first)));
        message.keep(Some(second));
        let frames = (0..FRAMES_TRACED_MAX + 9).filter(|_| message.of_frame().is_some()).count();
        assert_eq!(frames, usize::try_from(FRAMES_TRACED_MAX).unwrap());
        assert!(Arc::ptr_eq(&message.get().unwrap(), &first));
    }
}
