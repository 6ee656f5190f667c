//! The last messages of actors that operators watch: by name, with when and how long.
//!
//! An actor that is not watched pays a relaxed load for each message. A watched one makes a text of
//! the message's name, never of its content. What is watched ends by its time, or with the actor.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Vitals;

/// Messages kept of an actor.
const MESSAGES_KEPT: usize = 50;
/// Actors of this process that are watched at once.
pub const WATCHED_MAX: usize = 20;
/// The longest name: an enum's variant.
const NAME_MAX: usize = 40;

/// What operators' own readings of the tree send: they would displace all others.
const READINGS: [&str; 3] = ["Observe", "Report", "Health"];

/// Few, and only watched actors look here.
static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

/// A watched actor. It keeps the counters alive, so that no other actor has their address.
struct Watched {
    vitals: Arc<Vitals>,
    until: Instant,
    log: MessageLog,
}

/// The last messages of an actor.
#[derive(Debug, Clone, Serialize)]
pub struct MessageLog {
    /// How long it is watched.
    pub until: Timestamp,
    /// Newest first.
    pub messages: VecDeque<HandledMessage>,
}

/// A message that an actor has handled.
#[derive(Debug, Clone, Serialize)]
pub struct HandledMessage {
    /// Its name: a variant of the actor's messages.
    pub name: String,
    /// When it was taken from the mailbox.
    pub at: Timestamp,
    /// How long it took to handle, in microseconds.
    pub took_us: u64,
}

/// As many actors are watched as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{WATCHED_MAX} actors are watched already")]
pub struct TooManyWatched;

fn watched() -> MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches an actor for so long from now, again or for the first time; zero ends it.
///
/// # Errors
/// [`TooManyWatched`].
pub fn watch(vitals: &Arc<Vitals>, time: Duration) -> Result<Timestamp, TooManyWatched> {
    let (now, at) = (Instant::now(), Timestamp::now());
    let until = at + SignedDuration::try_from(time).unwrap_or_default();
    let mut all = watched();
    all.retain(|one| {
        let stays = one.until > now && !(time.is_zero() && Arc::ptr_eq(&one.vitals, vitals));
        one.vitals.set_watched(stays);
        stays
    });
    if time.is_zero() {
        return Ok(at);
    }
    if let Some(one) = all.iter_mut().find(|one| Arc::ptr_eq(&one.vitals, vitals)) {
        (one.until, one.log.until) = (now + time, until);
        return Ok(until);
    }
    if all.len() == WATCHED_MAX {
        return Err(TooManyWatched);
    }
    let log = MessageLog { until, messages: VecDeque::new() };
    all.push(Watched { vitals: Arc::clone(vitals), until: now + time, log });
    vitals.set_watched(true);
    Ok(until)
}

/// The last messages of an actor with these counters, if it is watched.
#[must_use]
pub fn of(vitals: &Vitals) -> Option<MessageLog> {
    if !vitals.is_watched() {
        return None;
    }
    let all = watched();
    let one = all.iter().find(|one| std::ptr::eq(&raw const *one.vitals, vitals))?;
    (one.until > Instant::now()).then(|| one.log.clone())
}

/// A message that took so long was handled.
pub(crate) fn record(vitals: &Vitals, name: String, took: Duration) {
    if READINGS.contains(&name.as_str()) {
        return;
    }
    let mut all = watched();
    let Some(index) = all.iter().position(|one| std::ptr::eq(&raw const *one.vitals, vitals))
    else {
        return vitals.set_watched(false);
    };
    if all[index].until <= Instant::now() {
        all.swap_remove(index);
        return vitals.set_watched(false);
    }
    let at = Timestamp::now() - SignedDuration::try_from(took).unwrap_or_default();
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let messages = &mut all[index].log.messages;
    messages.truncate(MESSAGES_KEPT - 1);
    messages.push_front(HandledMessage { name, at, took_us });
}

/// The name of a message's variant: the first word of what `Debug` writes. Nothing after it is
/// written, so no content is formatted.
pub(crate) fn name(message: &impl Debug) -> String {
    struct FirstWord(String);
    impl Write for FirstWord {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                if !character.is_alphanumeric() || self.0.len() >= NAME_MAX {
                    return Err(fmt::Error);
                }
                self.0.push(character);
            }
            Ok(())
        }
    }
    let mut word = FirstWord(String::new());
    // It ends with an error after the first word.
    let _ = write!(word, "{message:?}");
    word.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "for their names")]
    enum Message {
        Tick,
        Observe,
        Changed { secret: &'static str },
        Own(u32),
    }

    #[test]
    fn a_name_has_nothing_of_the_content() {
        let all = [Message::Tick, Message::Changed { secret: "x" }, Message::Own(4711)];
        assert_eq!(all.map(|message| name(&message)), ["Tick", "Changed", "Own"]);
    }

    #[test]
    fn a_watched_actor_has_its_last_messages_and_others_none() {
        let (one, other) = (Vitals::new(), Vitals::new());
        let handle = |vitals: &Vitals, message: &Message| {
            let taken = vitals.take(message);
            vitals.done(taken);
        };
        handle(&one, &Message::Own(1));
        assert!(of(&one).is_none());
        watch(&one, Duration::from_secs(60)).unwrap();
        for _ in 0..MESSAGES_KEPT {
            handle(&one, &Message::Own(2));
        }
        handle(&one, &Message::Tick);
        handle(&one, &Message::Observe);
        handle(&other, &Message::Tick);
        let found = of(&one).unwrap();
        assert_eq!(found.messages.len(), MESSAGES_KEPT);
        assert_eq!((&*found.messages[0].name, &*found.messages[1].name), ("Tick", "Own"));
        assert!(of(&other).is_none());
        watch(&one, Duration::ZERO).unwrap();
        handle(&one, &Message::Tick);
        assert!(of(&one).is_none() && !one.is_watched());
    }

    #[test]
    fn it_ends_by_its_time() {
        let one = Vitals::new();
        watch(&one, Duration::from_nanos(1)).unwrap();
        let taken = one.take(&Message::Tick);
        one.done(taken);
        assert!(!one.is_watched());
        assert!(watched().iter().all(|watched| !Arc::ptr_eq(&watched.vitals, &one)));
    }
}
