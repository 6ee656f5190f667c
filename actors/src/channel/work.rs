//! The work of a channel actor: after every message it checks its whole state and begins whatever
//! can begin.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use opentelemetry::trace::SpanKind;
use tokio::time::Instant;
use tracing::{info, warn};

use super::held::Held;
use super::in_progress;
use super::permit::LeasePermit;
use super::{
    ChannelActor, ChannelMessage, ChannelState, LEASED_PER_PLACE, LOOK_EVERY, Own, OwnMessage,
    Recorded,
};
use crate::failures::back_off;
use bellpull_domain::circuit::{Circuit, Pass};
use bellpull_domain::delivery::{Attempt, Leased, Outcome};
use bellpull_domain::ids::DeliveryId;
use bellpull_domain::routing::Channel;
use bellpull_port::trace::{Trace, TraceSpan};
use bellpull_port::{LeaseLimit, in_time};

/// Attempts that died with their process count less: a delivery is given up when there are this
/// many times as many as it has attempts.
const CUT_OFF_FACTOR: u32 = 4;

/// How long an attempt keeps others from beginning. Mail servers answer within a second or two; one
/// that lets a mail wait for minutes does not make all others wait. So up to twice as many attempts
/// are in progress as may begin.
const PLACE_MAX: Duration = Duration::from_secs(15);

/// For how long a message is kept that a provider does not take because of us: as long as mail
/// servers try (RFC 5321, 4.5.4.1: four to five days).
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);

/// The step of a trace in which a provider is called. A digest belongs to its first message's.
fn attempt_span(channel: Channel, leased: &Leased) -> TraceSpan {
    let trace = leased.contents.first().and_then(|content| content.trace.get());
    let trace = Trace::from(trace);
    let mut span = trace.span("attempt", SpanKind::Client);
    span.set("bellpull.channel", channel.as_str());
    span.set("bellpull.delivery", leased.id.0);
    span.set("bellpull.attempt", i64::from(leased.attempt));
    span
}

fn note_outcome(span: &mut TraceSpan, outcome: &Outcome) {
    match outcome {
        Outcome::Sent { .. } => span.set("bellpull.outcome", "sent"),
        Outcome::Later { error, .. }
        | Outcome::AboutUs { error, .. }
        | Outcome::Refused { error, .. }
        | Outcome::Gone { error, .. } => {
            span.fail(|| error.clone());
        }
    }
}

impl ChannelActor {
    /// Ends the leases of this process that this actor does not know. Those of a predecessor: its
    /// attempts ended with it. And those of an answer that was lost with its connection, or did not
    /// come in time. Leases of other nodes are not touched.
    pub(super) fn release(&self, state: &mut ChannelState) {
        state.is_releasing = true;
        let (store, owner, channel) = (self.store.clone(), self.owner.clone(), self.channel);
        let (own, leasing) = (state.own.clone(), Arc::clone(&state.leasing));
        let known = state.queue.iter().flat_map(in_progress::ids).chain(state.in_progress.ids());
        let known: Vec<DeliveryId> = known.collect();
        tokio::spawn(async move {
            let Some(permit) = LeasePermit::when_free(leasing).await else { return };
            let released = in_time(store.release(&owner, channel, known)).await;
            permit.end(|| own.cast(ChannelMessage::Own(OwnMessage(Own::Released(released)))));
        });
    }

    pub(super) fn own(&self, own: Own, state: &mut ChannelState) {
        match own {
            Own::Released(Ok(_)) => {
                (state.is_releasing, state.has_strays) = (false, false);
                self.store_answers(state);
            }
            Own::Leased(Ok((leased, is_all, next_due))) => {
                state.is_leasing = false;
                state.has_more |= !is_all;
                // A queued one that is leased again goes out under the new lease.
                state.queue.retain(|queued| leased.iter().all(|one| one.id != queued.id));
                let kept = state.in_progress.keep(leased);
                state.has_strays |= kept.has_strays;
                state.queue.extend(kept.leased);
                let wait = next_due.map_or(LOOK_EVERY, |due| self.until(due)).min(LOOK_EVERY);
                self.wake_at(Instant::now() + wait, state);
                self.store_answers(state);
            }
            Own::Tried(attempt, with) => {
                state.begun.remove(&attempt.delivery);
                while state.senders.try_join_next().is_some() {}
                self.judge(&attempt, state);
                // What went out in one message has one outcome.
                let others = with.into_iter().map(|(delivery, number)| Attempt {
                    delivery,
                    number,
                    ..(*attempt).clone()
                });
                state.results.extend(others);
                state.results.push(*attempt);
            }
            Own::Recorded(Ok(Recorded { due_again, deliveries })) => {
                state.is_recording = false;
                for (id, was_sent) in deliveries {
                    state.queue.extend(state.in_progress.recorded(id, was_sent));
                }
                // A lane that was full may have room now.
                state.has_more |= self.limits.lane_max != u32::MAX;
                if let Some(due) = due_again {
                    self.wake_at(Instant::now() + self.until(due).min(LOOK_EVERY), state);
                }
                self.store_answers(state);
            }
            Own::Released(Err(error)) => {
                state.is_releasing = false;
                self.store_fails(&error.to_string(), state);
            }
            Own::Leased(Err(error)) => {
                state.is_leasing = false;
                state.in_progress.end_lease();
                // It may be committed all the same.
                state.has_strays = true;
                state.has_more = true;
                self.store_fails(&error.to_string(), state);
            }
            Own::Recorded(Err((error, unrecorded))) => {
                state.is_recording = false;
                state.results.splice(0..0, unrecorded);
                self.store_fails(&error.to_string(), state);
            }
            Own::GivenBack(done) => {
                state.giving_back -= 1;
                state.has_more = true;
                if let Err(error) = done {
                    state.has_strays = true;
                    self.store_fails(&error.to_string(), state);
                }
            }
            Own::ClockTold(notice, moved) => self.told_of_clock(notice, moved, state),
            Own::Alarm => {
                state.alarm = None;
                state.has_more = true;
            }
        }
    }

    /// Begins whatever can begin, and updates the gauges.
    pub(super) fn pump(&self, state: &mut ChannelState) {
        self.begin(state);
        let channel = self.channel.as_str();
        // Some thousands at most.
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        metrics::gauge!("bellpull_deliveries_leased", "channel" => channel)
            .set(count(state.queue.len()));
        metrics::gauge!("bellpull_deliveries_in_flight", "channel" => channel)
            .set(count(state.begun.len()));
        let is_held = state.hold.now(self.clock.now()).is_some();
        let is_open = is_held || !state.circuit.is_closed();
        metrics::gauge!("bellpull_circuit_open", "channel" => channel)
            .set(f64::from(u8::from(is_open)));
    }

    fn begin(&self, state: &mut ChannelState) {
        let now = Instant::now();
        // A failing store is retried when the alarm fires, not after every message.
        let is_store_away = state.store_failures > 0 && state.alarm.is_some();
        self.look_at_clock(state);
        if !state.results.is_empty() && !state.is_recording && !is_store_away {
            self.record(state);
        }
        if state.has_strays && !state.is_releasing && !is_store_away {
            self.release(state);
        }
        if !is_store_away {
            self.tell_of_clock(state);
        }
        if state.is_draining {
            return self.drain(state);
        }
        if let Some(held) = state.hold.now(self.clock.now()) {
            self.give_back(state);
            if let Some(until) = held.until {
                self.wake_at(now + self.until(until), state);
            }
            return;
        }
        let room = match state.circuit.pass(now) {
            Pass::All => self.limits.in_flight_share(*self.nodes.borrow()),
            Pass::Probe => 1,
            Pass::Wait => return,
            Pass::NotBefore(until) => {
                self.give_back(state);
                return self.wake_at(until, state);
            }
        };
        let is_probe = room == 1 && !state.circuit.is_closed();
        self.send_what_may_be_sent(room, is_probe, now, state);
        let wanted = if is_probe { 1 } else { LEASED_PER_PLACE * room };
        let held = state.queue.len() + state.places(now).taken;
        let is_low = held < wanted && state.queue.len() < room;
        let can_record = state.results.len() <= LEASED_PER_PLACE * self.limits.in_flight_max;
        let is_free = !state.is_leasing && !state.has_strays && !is_store_away;
        if state.has_more && is_low && can_record && is_free {
            self.lease(wanted - held, state);
        }
    }

    fn send_what_may_be_sent(
        &self,
        room: usize,
        is_probe: bool,
        now: Instant,
        state: &mut ChannelState,
    ) {
        let most = 2 * self.limits.in_flight_share(*self.nodes.borrow());
        while !state.queue.is_empty() && state.begun.len() < most {
            let Places { taken, next_free } = state.places(now);
            if taken >= room {
                return next_free.into_iter().for_each(|at| self.wake_at(at, state));
            }
            if state.next_at > now {
                return self.wake_at(state.next_at, state);
            }
            let Some(leased) = state.queue.pop_front() else { return };
            if self.until(leased.leased_until) < self.limits.begin_within() {
                // Another owner may lease it before it is sent: it is leased again.
                self.give_back_these(vec![leased], state);
                continue;
            }
            if let Some(gap) = self.limits.gap(*self.nodes.borrow()) {
                state.next_at = state.next_at.max(now) + gap;
            }
            self.send(leased, state);
            if is_probe {
                return state.circuit.probe();
            }
        }
    }

    /// Sends one, in a task of its own.
    fn send(&self, leased: Leased, state: &mut ChannelState) {
        let (sender, own, clock) = (self.sender.clone(), state.own.clone(), self.clock.clone());
        let (retry, send_max) = (self.limits.retry, self.limits.send_max);
        state.begun.insert(leased.id, Instant::now());
        state.in_progress.begin(&leased);
        let (channel, held) = (self.channel, Held::of(self, &leased));
        state.senders.spawn(async move {
            let mut span = attempt_span(channel, &leased);
            let (started_at, started) = (clock.now(), Instant::now());
            let outcome = if leased.cut_off >= retry.attempts.saturating_mul(CUT_OFF_FACTOR) {
                // The delivery itself may be what makes the process die.
                Outcome::Refused { error: "given up: every attempt was cut off".to_owned() }
            } else {
                let sending = AssertUnwindSafe(sender.send(&leased)).catch_unwind();
                let sending = span.trace().within(sending);
                match tokio::time::timeout(send_max, held.during(sending)).await {
                    Ok(Some(Ok(outcome))) => outcome,
                    Ok(Some(Err(_))) => later("the sender failed", false),
                    Ok(None) => later("the hub was suspended until its lease had ended", false),
                    Err(_) => later("the provider did not answer in time", true),
                }
            };
            note_outcome(&mut span, &outcome);
            let took_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
            let due_at = due_again(&leased, &outcome, retry, clock.now());
            let (delivery, number) = (leased.id, leased.attempt);
            let attempt = Attempt { delivery, number, started_at, took_ms, outcome, due_at };
            let tried = Own::Tried(Box::new(attempt), leased.with);
            own.cast(ChannelMessage::Own(OwnMessage(tried)));
        });
    }

    /// Counts an attempt, and reports it to the circuit breaker.
    fn judge(&self, attempt: &Attempt, state: &mut ChannelState) {
        let (outcome, count) = match &attempt.outcome {
            Outcome::Sent { .. } => ("sent", &mut state.sent),
            Outcome::Later { .. } | Outcome::AboutUs { .. } if attempt.due_at.is_some() => {
                ("later", &mut state.again)
            }
            Outcome::Later { .. }
            | Outcome::AboutUs { .. }
            | Outcome::Refused { .. }
            | Outcome::Gone { .. } => ("failed", &mut state.failed),
        };
        *count += 1;
        let channel = self.channel.as_str();
        metrics::counter!("bellpull_attempts_total", "channel" => channel, "outcome" => outcome)
            .increment(1);
        if let Outcome::AboutUs { error, .. } = &attempt.outcome {
            if state.circuit.refused(Instant::now()) {
                warn!(channel, error, "the provider refuses this hub: its circuit is open");
                state.trouble = Some(error.clone());
            }
        } else if let Outcome::Later { error, is_outage: true, .. } = &attempt.outcome {
            if state.circuit.outage(Instant::now()) {
                warn!(channel, error, "the provider is down: its circuit is open");
                state.trouble = Some(error.clone());
            }
        } else if state.circuit.answered() {
            info!(channel, "the provider answers again: its circuit is closed");
            state.trouble = None;
        }
    }

    /// An operator has opened the circuit, or closed it.
    pub(super) fn circuit_by_hand(&self, is_closed: bool, state: &mut ChannelState) {
        if is_closed {
            state.circuit = Circuit::default();
            state.trouble = None;
        }
        state.has_more = true;
    }

    fn lease(&self, limit: usize, state: &mut ChannelState) {
        // It is free: a predecessor's leases were taken before they were ended.
        let Some(permit) = LeasePermit::if_free(&state.leasing) else { return };
        state.is_leasing = true;
        state.in_progress.begin_lease();
        state.has_more = false;
        let (store, channel, own) = (self.store.clone(), self.channel, state.own.clone());
        let owner = self.owner.clone();
        let (now, most) = (self.clock.now(), u32::try_from(limit).unwrap_or(u32::MAX));
        let limit = LeaseLimit { most, lane_max: self.limits.lane_share(*self.nodes.borrow()) };
        let lease = jiff::SignedDuration::try_from(self.limits.lease).unwrap_or_default();
        let until = now.saturating_add(lease).unwrap_or(Timestamp::MAX);
        tokio::spawn(async move {
            let leased = in_time(async {
                let leased = store.lease(&owner, channel, limit, now, until).await?;
                let is_all = u32::try_from(leased.len()).is_ok_and(|count| count < limit.most);
                let next_due = match is_all {
                    true => store.next_due(&owner, channel, limit.lane_max).await?,
                    false => None,
                };
                Ok((leased, is_all, next_due))
            });
            let leased = leased.await;
            permit.end(|| own.cast(ChannelMessage::Own(OwnMessage(Own::Leased(leased)))));
        });
    }

    fn record(&self, state: &mut ChannelState) {
        state.is_recording = true;
        let (store, own) = (self.store.clone(), state.own.clone());
        let results = std::mem::take(&mut state.results);
        tokio::spawn(async move {
            let recorded = in_time(store.record(results.clone())).await;
            let due_again = results.iter().filter_map(|attempt| attempt.due_at).min();
            let deliveries = results
                .iter()
                .map(|attempt| (attempt.delivery, matches!(attempt.outcome, Outcome::Sent { .. })));
            let deliveries = deliveries.collect();
            let recorded = recorded.map(|()| Recorded { due_again, deliveries });
            let recorded = recorded.map_err(|error| (error, results));
            own.cast(ChannelMessage::Own(OwnMessage(Own::Recorded(recorded))));
        });
    }

    /// Returns leases whose deliveries have not begun.
    fn give_back(&self, state: &mut ChannelState) {
        let unused: Vec<Leased> = state.queue.drain(..).collect();
        self.give_back_these(unused, state);
    }

    fn give_back_these(&self, unused: Vec<Leased>, state: &mut ChannelState) {
        if unused.is_empty() {
            return;
        }
        state.has_more = true;
        state.giving_back += 1;
        let (store, owner, own) = (self.store.clone(), self.owner.clone(), state.own.clone());
        let leases = unused.into_iter().flat_map(|one| {
            let Leased { id, attempt, with, .. } = one;
            std::iter::once((id, attempt)).chain(with)
        });
        let leases = leases.collect();
        tokio::spawn(async move {
            let done = in_time(store.give_back(&owner, leases)).await;
            own.cast(ChannelMessage::Own(OwnMessage(Own::GivenBack(done))));
        });
    }

    fn drain(&self, state: &mut ChannelState) {
        self.give_back(state);
        let is_done = state.begun.is_empty() && state.results.is_empty() && state.giving_back == 0;
        if is_done
            && !state.is_recording
            && !state.is_leasing
            && !state.has_strays
            && let Some(reply) = state.drain.take()
        {
            reply.send(());
        }
    }

    pub(super) fn store_answers(&self, state: &mut ChannelState) {
        if std::mem::take(&mut state.store_failures) > 0 {
            state.trouble = None;
            info!(channel = self.channel.as_str(), "the store answers again");
        }
    }

    pub(super) fn store_fails(&self, error: &str, state: &mut ChannelState) {
        state.store_failures = state.store_failures.saturating_add(1);
        state.trouble = Some(error.to_owned());
        warn!(channel = self.channel.as_str(), error, "the outbox does not answer");
        // Never at once: the first of `back_off` is none.
        let wait = back_off(state.store_failures.saturating_add(1));
        self.wake_at(Instant::now() + wait, state);
    }

    fn until(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_since(self.clock.now())).unwrap_or(Duration::ZERO)
    }

    /// Sets the alarm to that time, unless it is set to an earlier one.
    fn wake_at(&self, then: Instant, state: &mut ChannelState) {
        match &state.alarm {
            Some((set, _)) if *set <= then => return,
            Some((_, alarm)) => alarm.abort(),
            None => {}
        }
        let own = state.own.clone();
        let alarm = tokio::spawn(async move {
            tokio::time::sleep_until(then).await;
            own.cast(ChannelMessage::Own(OwnMessage(Own::Alarm)));
        });
        state.alarm = Some((then, alarm));
    }
}

/// The places of a channel: how many are taken, and when the first of them is free at the latest.
struct Places {
    taken: usize,
    next_free: Option<Instant>,
}

impl ChannelState {
    /// An attempt has a place for [`PLACE_MAX`].
    fn places(&self, now: Instant) -> Places {
        let ends = self.begun.values().map(|begun| *begun + PLACE_MAX).filter(|end| *end > now);
        Places { taken: ends.clone().count(), next_free: ends.min() }
    }
}

fn later(error: &str, is_outage: bool) -> Outcome {
    Outcome::Later { error: error.to_owned(), after: None, is_outage }
}

/// When a delivery is tried again, if it is.
fn due_again(
    leased: &Leased,
    outcome: &Outcome,
    retry: bellpull_domain::retry::RetryRule,
    now: Timestamp,
) -> Option<Timestamp> {
    let wait = match outcome {
        Outcome::Later { after, .. } => retry.wait_after(leased.failures + 1, chance(), *after)?,
        Outcome::AboutUs { after, .. } if is_news(leased, now) => {
            retry.wait_uncounted(chance(), *after)
        }
        Outcome::AboutUs { .. }
        | Outcome::Sent { .. }
        | Outcome::Refused { .. }
        | Outcome::Gone { .. } => return None,
    };
    let wait = jiff::SignedDuration::try_from(wait).unwrap_or_default();
    Some(now.saturating_add(wait).unwrap_or(Timestamp::MAX))
}

/// Whether a message that a provider does not take because of us is worth another attempt.
fn is_news(leased: &Leased, now: Timestamp) -> bool {
    let oldest = leased.contents.iter().map(|content| content.message.created_at).min();
    oldest.is_none_or(|oldest| now.duration_since(oldest) < GIVEN_UP_AFTER)
}

/// A random number: each state of the standard library's hash has random keys.
fn chance() -> u32 {
    fastrand::u32(..)
}
