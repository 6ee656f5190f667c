//! Reports: which messages count, and the sums of their notifications and deliveries.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use jiff::Timestamp;

use crate::delivery::{ProviderStatus, Rule};
use crate::notification::DeliveryStatus;
use crate::routing::Channel;

/// The most rows of a report; senders may have named any number of events.
pub const REPORT_ROWS_MAX: usize = 2_000;
/// The most messages of a report, for all of them are in memory: some 100 MiB.
const MESSAGES_MAX: usize = 2_000_000;

/// The filter of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFilter {
    /// Notifications that were made from then on …
    pub from: Timestamp,
    /// … and before then.
    pub to: Timestamp,
    /// Of this event alone.
    pub event: Option<String>,
    /// On this channel alone; [`Channel::System`] is the inbox.
    pub channel: Option<Channel>,
}

impl ReportFilter {
    /// Whether it is about this channel.
    #[must_use]
    pub fn has_channel(&self, channel: Channel) -> bool {
        self.channel.is_none_or(|wanted| wanted == channel)
    }

    /// Whether it is about a delivery channel, beside or instead of the inbox.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        self.channel != Some(Channel::System)
    }
}

/// The figures of an event's notifications on a channel. In the inbox all are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The event's name.
    pub event: String,
    /// The channel.
    pub channel: Channel,
    /// Queued deliveries.
    pub queued: i64,
    /// Those that a provider took.
    pub sent: i64,
    /// Those that were given up.
    pub failed: i64,
    /// Those that a rule held back, by the rule.
    pub suppressed: Vec<(Rule, i64)>,
    /// Of those sent, the ones that have reached a device, as the provider reports.
    pub delivered: i64,
    /// Of those delivered, the ones that were read there, as the provider reports.
    pub read_there: i64,
    /// Deliveries whose notification was read in the inbox, on any device.
    pub read: i64,
    /// The median time until then, in seconds.
    pub read_p50_s: Option<i64>,
    /// The same of 95 in 100.
    pub read_p95_s: Option<i64>,
}

/// A delivery, or a notification as one on [`Channel::System`] that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Reported {
    /// Its message's id.
    pub message: i64,
    /// Where it went.
    pub channel: Channel,
    /// Its state.
    pub status: DeliveryStatus,
    /// Why it was suppressed.
    pub rule: Option<Rule>,
    /// The provider's last report.
    pub provider: Option<ProviderStatus>,
    /// When its notification was read, in ms since 1970.
    pub read_ms: Option<i64>,
}

/// More than a report may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// The figures of a report, while its rows are counted: first the messages, then their deliveries.
#[derive(Debug)]
pub struct ReportSums {
    range_ms: Range<i64>,
    event: Option<String>,
    /// The events, each with its place.
    events: HashMap<String, usize>,
    /// The messages that count: the place of their event, and when they were made.
    messages: HashMap<i64, (usize, i64)>,
    /// By the event's place and the channel.
    sums: HashMap<(usize, Channel), Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    queued: i64,
    sent: i64,
    failed: i64,
    suppressed: BTreeMap<&'static str, (Rule, i64)>,
    delivered: i64,
    read_there: i64,
    /// How many were read after each number of seconds.
    read_after_s: BTreeMap<i64, i64>,
}

impl ReportSums {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(filter: &ReportFilter) -> Self {
        Self {
            range_ms: filter.from.as_millisecond()..filter.to.as_millisecond(),
            event: filter.event.clone(),
            events: HashMap::new(),
            messages: HashMap::new(),
            sums: HashMap::new(),
        }
    }

    /// Adds a message if it matches the report's filter: its own time decides, no other order does.
    /// Returns whether it matches.
    ///
    /// # Errors
    /// [`TooMuch`] messages.
    pub fn take_message(
        &mut self,
        id: i64,
        event: String,
        created_ms: i64,
    ) -> Result<bool, TooMuch> {
        let is_other = self.event.as_ref().is_some_and(|wanted| *wanted != event);
        if is_other || !self.range_ms.contains(&created_ms) {
            return Ok(false);
        }
        let next = self.events.len();
        let place = *self.events.entry(event).or_insert(next);
        self.messages.insert(id, (place, created_ms));
        if self.messages.len() > MESSAGES_MAX { Err(TooMuch) } else { Ok(true) }
    }

    /// Counts a delivery or notification, if its message counts.
    pub fn add(&mut self, row: &Reported) {
        let Some(&(event, created_ms)) = self.messages.get(&row.message) else { return };
        let sum = self.sums.entry((event, row.channel)).or_default();
        sum.count(row.status, row.rule, row.provider);
        if let Some(read_ms) = row.read_ms {
            *sum.read_after_s.entry(rounded_s(read_ms - created_ms)).or_default() += 1;
        }
    }

    /// The report, in the order of events and channels; `None` where it has too many rows.
    #[must_use]
    pub fn rows(self, filter: &ReportFilter) -> Option<Vec<ReportRow>> {
        let mut sums = self.sums;
        sums.retain(|(_, channel), _| filter.has_channel(*channel));
        if sums.len() > REPORT_ROWS_MAX {
            return None;
        }
        let names: HashMap<usize, String> =
            self.events.into_iter().map(|(name, place)| (place, name)).collect();
        let row = |((place, channel), sum): ((usize, Channel), Sum)| {
            sum.row(names.get(&place).cloned().unwrap_or_default(), channel)
        };
        let mut rows: Vec<ReportRow> = sums.into_iter().map(row).collect();
        rows.sort_by(|a, b| (&a.event, a.channel).cmp(&(&b.event, b.channel)));
        Some(rows)
    }
}

impl Sum {
    fn count(
        &mut self,
        status: DeliveryStatus,
        rule: Option<Rule>,
        provider: Option<ProviderStatus>,
    ) {
        match (status, rule) {
            (DeliveryStatus::Queued, _) => self.queued += 1,
            (DeliveryStatus::Sent, _) => self.sent += 1,
            (DeliveryStatus::Failed, _) => self.failed += 1,
            (DeliveryStatus::Suppressed, Some(rule)) => {
                self.suppressed.entry(rule.as_str()).or_insert((rule, 0)).1 += 1;
            }
            (DeliveryStatus::Suppressed, None) => {}
        }
        match provider {
            Some(ProviderStatus::Delivered) => self.delivered += 1,
            Some(ProviderStatus::Read) => {
                self.delivered += 1;
                self.read_there += 1;
            }
            Some(ProviderStatus::Sent | ProviderStatus::Failed) | None => {}
        }
    }

    fn row(self, event: String, channel: Channel) -> ReportRow {
        ReportRow {
            event,
            channel,
            queued: self.queued,
            sent: self.sent,
            failed: self.failed,
            suppressed: self.suppressed.into_values().collect(),
            delivered: self.delivered,
            read_there: self.read_there,
            read: self.read_after_s.values().sum(),
            read_p50_s: within(&self.read_after_s, 50),
            read_p95_s: within(&self.read_after_s, 95),
        }
    }
}

/// Whole seconds for ten minutes, whole minutes for ten hours, whole hours from then on: so the
/// different times stay few.
fn rounded_s(ms: i64) -> i64 {
    match ms.max(0) / 1_000 {
        s @ 0..600 => s,
        s @ 600..36_000 => s / 60 * 60,
        s => s / 3_600 * 3_600,
    }
}

/// The number of seconds within which a percentage was read.
fn within(read_after_s: &BTreeMap<i64, i64>, percent: i64) -> Option<i64> {
    let all: i64 = read_after_s.values().sum();
    let wanted = (all * percent).div_euclid(100) + i64::from(all * percent % 100 > 0);
    let mut seen = 0;
    let reached = |(seconds, count): (&i64, &i64)| {
        seen += count;
        (seen >= wanted).then_some(*seconds)
    };
    read_after_s.iter().find_map(reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(event: Option<&str>, channel: Option<Channel>) -> ReportFilter {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let event = event.map(str::to_owned);
        ReportFilter { from: at(1_000), to: at(9_000), event, channel }
    }

    fn reported(message: i64, channel: Channel, status: DeliveryStatus) -> Reported {
        Reported { message, channel, status, rule: None, provider: None, read_ms: None }
    }

    #[test]
    fn a_messages_own_time_decides_whether_it_counts() {
        let mut sums = ReportSums::new(&filter(None, None));
        // The ids are in another order than the times.
        for (id, created_ms, wanted) in
            [(9, 999, false), (8, 1_000, true), (1, 8_999, true), (2, 9_000, false)]
        {
            let counts = sums.take_message(id, "news".to_owned(), created_ms);
            assert_eq!(counts, Ok(wanted), "{id}");
        }
        let mut sums = ReportSums::new(&filter(Some("other"), None));
        assert_eq!(sums.take_message(8, "news".to_owned(), 2_000), Ok(false));
    }

    #[test]
    fn figures_are_added_up_by_event_and_channel() {
        use DeliveryStatus::{Failed, Queued, Sent, Suppressed};
        let filter = filter(None, None);
        let mut sums = ReportSums::new(&filter);
        for (id, event) in [(1, "b"), (2, "a")] {
            sums.take_message(id, event.to_owned(), 2_000).unwrap();
        }
        let held = Some(Rule::NoAddress);
        let read = Some(ProviderStatus::Read);
        for row in [
            reported(1, Channel::Email, Queued),
            Reported { read_ms: Some(5_500), ..reported(1, Channel::Email, Sent) },
            Reported { provider: read, ..reported(1, Channel::Email, Sent) },
            Reported { rule: held, ..reported(1, Channel::Email, Suppressed) },
            reported(2, Channel::Sms, Failed),
            reported(2, Channel::System, Sent),
            reported(3, Channel::System, Sent),
        ] {
            sums.add(&row);
        }
        let rows = sums.rows(&filter).unwrap();
        let shape: Vec<_> = rows.iter().map(|row| (row.event.as_str(), row.channel)).collect();
        let mut wanted = [("a", Channel::System), ("a", Channel::Sms), ("b", Channel::Email)];
        wanted.sort_unstable();
        assert_eq!(shape, wanted);
        let email = rows.iter().find(|row| row.channel == Channel::Email).unwrap();
        assert_eq!((email.queued, email.sent, email.failed), (1, 2, 0));
        assert_eq!(email.suppressed, [(Rule::NoAddress, 1)]);
        assert_eq!((email.delivered, email.read_there), (1, 1));
        assert_eq!((email.read, email.read_p50_s, email.read_p95_s), (1, Some(3), Some(3)));
    }

    #[test]
    fn too_many_rows_make_no_report() {
        for (events, wanted) in [(REPORT_ROWS_MAX, true), (REPORT_ROWS_MAX + 1, false)] {
            let filter = filter(None, None);
            let mut sums = ReportSums::new(&filter);
            for id in 0..i64::try_from(events).unwrap() {
                sums.take_message(id, format!("event{id}"), 2_000).unwrap();
                sums.add(&reported(id, Channel::System, DeliveryStatus::Sent));
            }
            assert_eq!(sums.rows(&filter).is_some(), wanted, "{events}");
        }
    }

    #[test]
    fn so_many_of_a_hundred_were_read_within() {
        let times = BTreeMap::from([(1, 50), (10, 44), (60, 5), (3600, 1)]);
        let found = [50, 51, 95, 100].map(|percent| within(&times, percent));
        assert_eq!(found, [Some(1), Some(10), Some(60), Some(3600)]);
        assert_eq!(within(&BTreeMap::from([(7, 1)]), 50), Some(7));
        assert_eq!(within(&BTreeMap::new(), 95), None);
    }

    #[test]
    fn times_are_coarser_the_longer_they_are() {
        for (ms, wanted) in [
            (-5, 0),
            (1_999, 1),
            (599_999, 599),
            (659_000, 600),
            (35_999_000, 35_940),
            (36_000_000, 36_000),
            (90_061_000, 90_000),
        ] {
            assert_eq!(rounded_s(ms), wanted, "{ms}");
        }
    }
}
