//! A circuit that an operator holds open: nothing is sent until the operator closes it, or its time
//! is over. It is kept beside the channel's actor, so that a restart of the actor does not end it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// Who holds a circuit open, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldOpen {
    /// The operator's name.
    pub operator: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until it is closed.
    pub until: Option<Timestamp>,
}

impl fmt::Display for HeldOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opened by operator {}", self.operator)?;
        match self.until {
            Some(until) => write!(f, " until {until}"),
            None => Ok(()),
        }
    }
}

/// Whether a channel's circuit is held open.
#[derive(Debug, Default)]
pub struct Hold(Mutex<Option<HeldOpen>>);

impl Hold {
    /// Holds it open, or no longer.
    pub(crate) fn set(&self, held: Option<HeldOpen>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Who holds it open now. What is over is forgotten.
    pub(crate) fn now(&self, now: Timestamp) -> Option<HeldOpen> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().and_then(|held| held.until).is_some_and(|until| until <= now) {
            *held = None;
        }
        held.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_its_time_or_when_it_is_closed() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let held = |until| HeldOpen { operator: "root".into(), since: at(0), until };
        let hold = Hold::default();
        assert_eq!(hold.now(at(0)), None);
        hold.set(Some(held(Some(at(10)))));
        let shown = hold.now(at(9)).unwrap().to_string();
        assert_eq!(shown, "opened by operator root until 1970-01-01T00:00:10Z");
        assert_eq!(hold.now(at(10)), None);
        assert_eq!(hold.now(at(9)), None, "it is over");
        hold.set(Some(held(None)));
        assert_eq!(hold.now(at(1 << 30)).unwrap().to_string(), "opened by operator root");
        hold.set(None);
        assert_eq!(hold.now(at(0)), None);
    }
}
