//! The outbox in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{Clock, DeliveryStore, LeaseLimit, LeaseOwner, SetBack, StoreError};
use bellpull_domain::delivery::{Addressee, Attempt, Leased, Outcome, ProviderReport, Target};
use bellpull_domain::ids::{DeliveryId, NotificationId, UserId};
use bellpull_domain::locale::Locale;
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;

/// How long a test waits for an expected state before it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(7_200);

/// The lane of those deliveries that go out together, in one e-mail.
pub const DIGEST: &str = "digest";

/// A delivery as the fake outbox keeps it.
#[derive(Debug, Clone)]
pub struct FakeDelivery {
    /// Its state.
    pub status: DeliveryStatus,
    /// Attempts that were begun.
    pub attempts: u32,
    /// When it was put there.
    pub put_at: Timestamp,
    /// When it is due.
    pub due_at: Timestamp,
    /// Until when it is leased.
    pub leased_until: Option<Timestamp>,
    /// The owner of the last lease.
    pub owner: Option<LeaseOwner>,
    /// The recorded outcomes.
    pub recorded: Vec<Attempt>,
    /// The operations that are slow.
    pub lane: &'static str,
}

impl FakeDelivery {
    fn recorded(&self) -> u32 {
        u32::try_from(self.recorded.len()).unwrap_or(u32::MAX)
    }

    fn failures(&self) -> u32 {
        let counts = |one: &&Attempt| !matches!(one.outcome, Outcome::AboutUs { .. });
        u32::try_from(self.recorded.iter().filter(counts).count()).unwrap_or(u32::MAX)
    }
}

#[derive(Debug, Default)]
struct Data {
    deliveries: BTreeMap<DeliveryId, FakeDelivery>,
    is_away: bool,
    leases: usize,
    /// How long the next request for leases takes.
    slow: Duration,
    /// Whether the answer to the next one is lost.
    loses_answer: bool,
    /// How long the question takes when the next one is due.
    next_due_takes: Duration,
    /// Whether only one process can open it: its leases have no end for their owner.
    is_exclusive: bool,
}

impl Data {
    /// How many of each lane this owner has leased.
    fn held(&self, owner: &LeaseOwner, now: Timestamp) -> BTreeMap<&'static str, u32> {
        let is_leased = |one: &&FakeDelivery| {
            one.leased_until.is_some_and(|until| until > now) && one.owner.as_ref() == Some(owner)
        };
        let mut held = BTreeMap::new();
        for one in self.deliveries.values().filter(is_leased) {
            *held.entry(one.lane).or_default() += 1;
        }
        held
    }
}

/// An outbox of e-mails; its clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeOutbox {
    data: Arc<Mutex<Data>>,
    changed: watch::Sender<()>,
    clock: Arc<dyn Clock>,
}

impl FakeOutbox {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { data: Arc::default(), changed: watch::Sender::new(()), clock }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Data>, StoreError> {
        let data = self.data();
        match data.is_away {
            true => Err(StoreError::Unavailable("the fake is away".to_owned())),
            false => Ok(data),
        }
    }

    /// Puts a delivery into it that is due after so long.
    pub fn put(&self, id: i64, after: jiff::SignedDuration) {
        self.put_in("", id, after);
    }

    /// The same in a lane.
    pub fn put_in(&self, lane: &'static str, id: i64, after: jiff::SignedDuration) {
        let put_at = self.clock.now();
        let one = FakeDelivery {
            status: DeliveryStatus::Queued,
            attempts: 0,
            put_at,
            due_at: put_at + after,
            leased_until: None,
            owner: None,
            recorded: Vec::new(),
            lane,
        };
        self.data().deliveries.insert(DeliveryId(id), one);
    }

    /// Whether it answers.
    pub fn set_away(&self, is_away: bool) {
        self.data().is_away = is_away;
    }

    /// The next request for leases takes so long.
    pub fn slow_down(&self, time: Duration) {
        self.data().slow = time;
    }

    /// The next request for leases takes them, and its answer is lost.
    pub fn lose_answer(&self) {
        self.data().loses_answer = true;
    }

    /// From now on, what was leased is known this long after it was leased.
    pub fn answer_late(&self, delay: Duration) {
        self.data().next_due_takes = delay;
    }

    /// From now on, leases have no end for their owner, as in a store of one process.
    pub fn be_exclusive(&self) {
        self.data().is_exclusive = true;
    }

    /// How often a lease was requested.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.data().leases
    }

    /// A delivery with its state.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn of(&self, id: i64) -> FakeDelivery {
        self.data().deliveries[&DeliveryId(id)].clone()
    }

    /// How many deliveries have this status.
    #[must_use]
    pub fn count(&self, status: DeliveryStatus) -> usize {
        self.data().deliveries.values().filter(|one| one.status == status).count()
    }

    /// Waits until a condition is true.
    ///
    /// # Panics
    /// If it does not become true in time.
    #[expect(clippy::panic, reason = "a fake fails the test that uses it")]
    pub async fn until(&self, mut is_so: impl FnMut(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while !is_so(self) {
                let _ = changed.changed().await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("it never came to that: {:?}", self.data());
        }
    }
}

#[async_trait]
impl DeliveryStore for FakeOutbox {
    async fn lease(
        &self,
        owner: &LeaseOwner,
        _channel: Channel,
        limit: LeaseLimit,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Leased>, StoreError> {
        let slow = std::mem::take(&mut self.data().slow);
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let mut data = self.open()?;
        data.leases += 1;
        let mut due: Vec<(Timestamp, DeliveryId, &str)> = data
            .deliveries
            .iter()
            .filter(|(_, one)| one.status == DeliveryStatus::Queued && one.due_at <= now)
            .filter(|(_, one)| one.leased_until.is_none_or(|until| until <= now))
            .map(|(id, one)| (one.due_at, *id, one.lane))
            .collect();
        due.sort_unstable();
        let mut held = data.held(owner, now);
        due.retain(|(_, _, lane)| {
            let held = held.entry(*lane).or_default();
            *held = held.saturating_add(1);
            *held <= limit.lane_max
        });
        due.truncate(usize::try_from(limit.most).unwrap_or(usize::MAX));
        let lease = |(_, id, _): (Timestamp, DeliveryId, &str)| {
            let one = data.deliveries.get_mut(&id)?;
            one.leased_until = Some(until);
            one.owner = Some(owner.clone());
            one.attempts += 1;
            Some(Leased {
                id,
                notification: Some(NotificationId(id.0)),
                attempt: one.attempts,
                failures: one.failures(),
                cut_off: (one.attempts - 1).saturating_sub(one.recorded()),
                addressee: Some(Addressee {
                    id: UserId(1),
                    name: "Ada".to_owned(),
                    locale: Locale::english(),
                }),
                target: Target::Account(Channel::Email, "ada@example.com".to_owned()),
                account_link: None,
                contents: vec![super::content("x")],
                with: Vec::new(),
                leased_until: if data.is_exclusive { Timestamp::MAX } else { until },
            })
        };
        let leased: Vec<Leased> = due.into_iter().filter_map(lease).collect();
        if !leased.is_empty() && std::mem::take(&mut data.loses_answer) {
            return Err(StoreError::Unavailable("the answer was lost".to_owned()));
        }
        Ok(joined(leased, |id| data.deliveries[&id].lane == DIGEST))
    }

    async fn release(
        &self,
        owner: &LeaseOwner,
        _channel: Channel,
        known: Vec<DeliveryId>,
    ) -> Result<u64, StoreError> {
        let mut data = self.open()?;
        let is_stray = |(id, one): &(&DeliveryId, &mut FakeDelivery)| {
            one.leased_until.is_some() && one.owner.as_ref() == Some(owner) && !known.contains(id)
        };
        let strays = data.deliveries.iter_mut().filter(is_stray);
        let mut count = 0;
        for (_, one) in strays {
            one.leased_until = None;
            count += 1;
        }
        Ok(count)
    }

    async fn set_back(&self, _channel: Channel, clock: SetBack) -> Result<u64, StoreError> {
        let mut data = self.open()?;
        let mut count = 0;
        for one in data.deliveries.values_mut() {
            let is_waiting = one.status == DeliveryStatus::Queued && one.leased_until.is_none();
            if is_waiting && one.due_at > clock.now && one.due_at <= clock.was {
                one.due_at = clock.now;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn repair_due(&self, _channel: Channel, now: Timestamp) -> Result<u64, StoreError> {
        let mut data = self.open()?;
        let mut count = 0;
        for one in data.deliveries.values_mut() {
            let is_waiting = one.status == DeliveryStatus::Queued && one.leased_until.is_none();
            if is_waiting && one.put_at > now && one.due_at > now {
                one.due_at = (one.due_at - one.put_at.duration_since(now)).max(now);
                count += 1;
            }
        }
        Ok(count)
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError> {
        let mut data = self.open()?;
        for attempt in attempts {
            let Some(one) = data.deliveries.get_mut(&attempt.delivery) else { continue };
            let is_sent = matches!(attempt.outcome, Outcome::Sent { .. });
            let holds = one.attempts == attempt.number && one.status == DeliveryStatus::Queued;
            // The provider has it, whatever was leased since.
            if holds || is_sent {
                one.leased_until = None;
                match (&attempt.outcome, attempt.due_at) {
                    (Outcome::Sent { .. }, _) => one.status = DeliveryStatus::Sent,
                    (Outcome::Later { .. } | Outcome::AboutUs { .. }, Some(due_at)) => {
                        one.due_at = due_at;
                    }
                    _ => one.status = DeliveryStatus::Failed,
                }
            }
            one.recorded.push(attempt);
        }
        drop(data);
        self.changed.send_replace(());
        Ok(())
    }

    async fn give_back(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
    ) -> Result<(), StoreError> {
        let mut data = self.open()?;
        for (id, attempt) in leases {
            let Some(one) = data.deliveries.get_mut(&id) else { continue };
            if one.attempts != attempt || one.owner.as_ref() != Some(owner) {
                continue;
            }
            one.leased_until = None;
            one.attempts -= 1;
        }
        drop(data);
        self.changed.send_replace(());
        Ok(())
    }

    async fn extend(
        &self,
        owner: &LeaseOwner,
        leases: Vec<(DeliveryId, u32)>,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut data = self.open()?;
        let mut has_all = true;
        for (id, attempt) in leases {
            let is_held = |one: &&mut FakeDelivery| {
                one.leased_until.is_some()
                    && one.attempts == attempt
                    && one.owner.as_ref() == Some(owner)
            };
            match data.deliveries.get_mut(&id).filter(is_held) {
                Some(one) => one.leased_until = Some(until),
                None => has_all = false,
            }
        }
        Ok(has_all)
    }

    async fn next_due(
        &self,
        owner: &LeaseOwner,
        _channel: Channel,
        lane_max: u32,
    ) -> Result<Option<Timestamp>, StoreError> {
        let takes = self.data().next_due_takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let data = self.open()?;
        let held = data.held(owner, self.clock.now());
        let has_room = |one: &FakeDelivery| {
            one.leased_until.is_some() || held.get(one.lane).is_none_or(|count| *count < lane_max)
        };
        let queued = data.deliveries.values().filter(|one| one.status == DeliveryStatus::Queued);
        let queued = queued.filter(|one| has_room(one));
        Ok(queued.map(|one| one.leased_until.unwrap_or(one.due_at)).min())
    }

    async fn reported(
        &self,
        _channel: Channel,
        _report: ProviderReport,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn retry(&self, delivery: DeliveryId, now: Timestamp) -> Result<bool, StoreError> {
        let mut data = self.open()?;
        let failed = data.deliveries.get_mut(&delivery);
        let Some(one) = failed.filter(|one| one.status == DeliveryStatus::Failed) else {
            return Ok(false);
        };
        one.status = DeliveryStatus::Queued;
        one.due_at = now;
        Ok(true)
    }
}

/// Those of a digest as one lease.
fn joined(leased: Vec<Leased>, is_in_digest: impl Fn(DeliveryId) -> bool) -> Vec<Leased> {
    let (digest, mut all): (Vec<_>, Vec<_>) =
        leased.into_iter().partition(|one| is_in_digest(one.id));
    let mut digest = digest.into_iter();
    if let Some(mut first) = digest.next() {
        first.with = digest.map(|one| (one.id, one.attempt)).collect();
        all.push(first);
    }
    all
}
