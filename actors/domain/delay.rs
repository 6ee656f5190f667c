//! When a delivery may be sent: the ends of quiet hours, and when digests are due.
//!
//! Both are in the recipient's own time zone. A local time that a clock change skips is the moment
//! of the change; one that occurs twice is its first occurrence.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit, Zoned, ZonedRound};

use super::delivery::Rule;
use super::preference::{Day, EmailDigest, Preferences, QuietHours};
use super::routing::Channel;

/// When daily digests go out: read with the first coffee.
const DAILY_AT: Time = Time::constant(8, 0, 0, 0);

/// Until when a delivery waits, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// Why.
    pub rule: Rule,
    /// Until when.
    pub until: Timestamp,
}

impl Preferences {
    /// How long a delivery that is ready on a channel at that time has to wait; `None` if it may be
    /// sent. A digest that is due within quiet hours waits for their end.
    #[must_use]
    pub fn delay(&self, channel: Channel, now: Timestamp) -> Option<Delay> {
        let quiet_until = |time| self.quiet_hours.as_ref().and_then(|quiet| quiet.until(time));
        // Only e-mails are gathered in digests.
        let is_gathered = channel == Channel::Email;
        let digest = is_gathered.then(|| self.email_digest.next(now, &self.timezone())).flatten();
        if let Some(due) = digest {
            return Some(Delay { rule: Rule::Digest, until: quiet_until(due).unwrap_or(due) });
        }
        // A webhook is a machine: it does not sleep.
        let until = quiet_until(now).filter(|_| channel != Channel::Webhook)?;
        Some(Delay { rule: Rule::QuietHours, until })
    }

    /// The user's time zone; UTC by default.
    fn timezone(&self) -> TimeZone {
        match &self.timezone {
            Some(name) => zone(name),
            None => self.quiet_hours.as_ref().map_or(TimeZone::UTC, QuietHours::zone),
        }
    }
}

impl QuietHours {
    /// The end of the quiet hours that a time falls into; `None` where it falls into none.
    #[must_use]
    pub fn until(&self, time: Timestamp) -> Option<Timestamp> {
        let zone = self.zone();
        let today = time.to_zoned(zone.clone()).date();
        // Those that began the evening before may last until now.
        let days = [today.yesterday().ok()?, today];
        days.into_iter().filter(|day| self.begins_on(*day)).find_map(|day| {
            let last = if self.end > self.start { day } else { day.tomorrow().ok()? };
            let begin = on_the_wall(day.to_datetime(self.start), &zone)?;
            let end = on_the_wall(last.to_datetime(self.end), &zone)?;
            (begin <= time && time < end).then_some(end)
        })
    }

    fn begins_on(&self, date: Date) -> bool {
        self.days.contains(&day(date.weekday()))
    }

    fn zone(&self) -> TimeZone {
        zone(&self.timezone)
    }
}

/// A zone that this machine does not know any more counts as UTC: a notification at the wrong hour
/// is better than none.
fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

impl EmailDigest {
    /// When the digest is due that gathers what happens now: at the next full hour, or at eight in
    /// the morning. `None` if there are no digests.
    fn next(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = now.to_zoned(zone.clone());
        match self {
            Self::Off => None,
            Self::Hourly => next_hour(&local),
            Self::Daily => {
                let today = on_the_wall(local.date().to_datetime(DAILY_AT), zone)?;
                let tomorrow = || local.date().tomorrow().ok();
                if now < today {
                    return Some(today);
                }
                on_the_wall(tomorrow()?.to_datetime(DAILY_AT), zone)
            }
        }
    }
}

fn next_hour(local: &Zoned) -> Option<Timestamp> {
    let begun = ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc);
    let begun = local.round(begun).ok()?.timestamp();
    begun.checked_add(jiff::SignedDuration::from_hours(1)).ok()
}

/// When a clock on the wall first shows that time, or is put forward over it.
fn on_the_wall(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    use jiff::tz::AmbiguousOffset::{Fold, Gap, Unambiguous};
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        Unambiguous { .. } | Fold { .. } => ambiguous.compatible().ok(),
        // "Compatible" would be as long after the jump as the time is after its beginning.
        Gap { before, .. } => {
            let later = before.to_timestamp(time).ok()?;
            zone.preceding(later.checked_add(jiff::SignedDuration::from_secs(1)).ok()?)
                .next()
                .map(|jump| jump.timestamp())
        }
    }
}

fn day(weekday: Weekday) -> Day {
    match weekday {
        Weekday::Monday => Day::Mon,
        Weekday::Tuesday => Day::Tue,
        Weekday::Wednesday => Day::Wed,
        Weekday::Thursday => Day::Thu,
        Weekday::Friday => Day::Fri,
        Weekday::Saturday => Day::Sat,
        Weekday::Sunday => Day::Sun,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quiet(start: &str, end: &str, days: &[Day]) -> QuietHours {
        QuietHours {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
            timezone: "Europe/Berlin".to_owned(),
            days: days.iter().copied().collect(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn until(quiet: &QuietHours, time: &str) -> Option<String> {
        let end = quiet.until(at(time))?;
        Some(end.to_zoned(quiet.zone()).strftime("%a %H:%M %:z").to_string())
    }

    #[test]
    fn quiet_hours_last_over_midnight_and_begin_on_their_days() {
        let nights = quiet("22:00", "07:00", &[Day::Fri, Day::Sat]);
        for (time, wanted) in [
            ("2026-11-20T21:59:59+01:00", None), // a Friday
            ("2026-11-20T22:00:00+01:00", Some("Sat 07:00 +01:00")),
            ("2026-11-21T06:59:59+01:00", Some("Sat 07:00 +01:00")),
            ("2026-11-21T07:00:00+01:00", None),
            ("2026-11-22T03:00:00+01:00", Some("Sun 07:00 +01:00")),
            ("2026-11-22T23:00:00+01:00", None),
            ("2026-11-23T03:00:00+01:00", None),
        ] {
            assert_eq!(until(&nights, time).as_deref(), wanted, "{time}");
        }
        let noon = quiet("12:00", "13:00", &Day::ALL);
        assert_eq!(until(&noon, "2026-11-21T12:30:00+01:00").as_deref(), Some("Sat 13:00 +01:00"));
        assert_eq!(until(&noon, "2026-11-21T11:59:00+01:00"), None);
    }

    #[test]
    fn a_night_of_a_changed_clock_ends_when_the_wall_says_so() {
        let nights = quiet("22:00", "07:00", &Day::ALL);
        // 2026-03-29: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00.
        for (time, wanted) in [
            ("2026-03-28T23:00:00+01:00", "Sun 07:00 +02:00"),
            ("2026-10-24T23:00:00+02:00", "Sun 07:00 +01:00"),
        ] {
            assert_eq!(until(&nights, time).as_deref(), Some(wanted), "{time}");
        }
        // It ends at a time that does not exist, and at one that exists twice.
        let short = quiet("22:00", "02:30", &Day::ALL);
        for (time, wanted) in [
            ("2026-03-29T01:59:59+01:00", Some("Sun 03:00 +02:00")),
            ("2026-03-29T03:00:00+02:00", None),
            ("2026-10-25T02:29:59+02:00", Some("Sun 02:30 +02:00")),
            ("2026-10-25T02:29:59+01:00", None),
        ] {
            assert_eq!(until(&short, time).as_deref(), wanted, "{time}");
        }
    }

    #[test]
    fn digests_gather_by_the_hour_and_by_the_day() {
        let zone = TimeZone::get("Asia/Kolkata").unwrap(); // half an hour off the full one
        let next = |digest: EmailDigest, time: &str| {
            let due = digest.next(at(time), &zone)?;
            Some(due.to_zoned(zone.clone()).strftime("%d %H:%M").to_string())
        };
        for (digest, time, wanted) in [
            (EmailDigest::Off, "2026-11-21T10:10:00+05:30", None),
            (EmailDigest::Hourly, "2026-11-21T10:10:00+05:30", Some("21 11:00")),
            (EmailDigest::Hourly, "2026-11-21T10:00:00+05:30", Some("21 11:00")),
            (EmailDigest::Hourly, "2026-11-21T23:59:59+05:30", Some("22 00:00")),
            (EmailDigest::Daily, "2026-11-21T07:59:59+05:30", Some("21 08:00")),
            (EmailDigest::Daily, "2026-11-21T08:00:00+05:30", Some("22 08:00")),
        ] {
            assert_eq!(next(digest, time).as_deref(), wanted, "{digest:?} {time}");
        }
    }

    #[test]
    fn a_digest_within_quiet_hours_waits_for_their_end_and_machines_do_not_sleep() {
        let preferences = Preferences {
            quiet_hours: Some(quiet("22:00", "09:00", &Day::ALL)),
            email_digest: EmailDigest::Daily,
            ..Preferences::default()
        };
        let night = at("2026-11-21T23:00:00+01:00");
        let end = at("2026-11-22T09:00:00+01:00");
        let delay = |channel| preferences.delay(channel, night);
        assert_eq!(delay(Channel::Email), Some(Delay { rule: Rule::Digest, until: end }));
        let quiet = Some(Delay { rule: Rule::QuietHours, until: end });
        assert_eq!((delay(Channel::Sms), delay(Channel::Push)), (quiet, quiet));
        assert_eq!(delay(Channel::Webhook), None);
        assert_eq!(preferences.delay(Channel::Sms, end), None);
        assert_eq!(Preferences::default().delay(Channel::Email, night), None);
    }

    proptest! {
        /// Whatever the hours and the time: an end lies ahead, at most a day and an hour, shows on
        /// the wall as it was wished, unless the clock jumped over that.
        #[test]
        fn an_end_is_ahead_and_is_the_end(
            start in 0i8..24, end in 0i8..24, minute in 0i8..60, days in 1u8..128,
            second in 1_767_225_600i64..1_798_761_600,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "UTC",
                "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]),
        ) {
            prop_assume!(start != end);
            let quiet = QuietHours {
                start: Time::new(start, minute, 0, 0).unwrap(),
                end: Time::new(end, minute, 0, 0).unwrap(),
                timezone: zone.to_owned(),
                days: Day::ALL.into_iter().enumerate()
                    .filter(|(nth, _)| days & (1 << nth) != 0).map(|(_, day)| day).collect(),
            };
            let time = Timestamp::from_second(second).unwrap();
            if let Some(over) = quiet.until(time) {
                let ahead = over.duration_since(time);
                prop_assert!(ahead.is_positive() && ahead.as_hours() <= 25);
                let shown = over.to_zoned(quiet.zone());
                let is_jump = shown.timestamp() != time
                    && shown.time() != quiet.end;
                if is_jump {
                    let before = over - jiff::SignedDuration::from_secs(1);
                    let before = before.to_zoned(quiet.zone());
                    prop_assert_ne!(before.offset(), shown.offset());
                }
            }
        }
    }

    #[test]
    fn a_digest_is_due_in_its_own_zone_whatever_the_quiet_hours_are() {
        let now: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        for (zone, due) in [
            (None, "2026-01-16T08:00:00Z"),
            (Some("America/New_York"), "2026-01-15T13:00:00Z"),
            (Some("Asia/Kolkata"), "2026-01-16T02:30:00Z"),
            (Some("No/Where"), "2026-01-16T08:00:00Z"),
        ] {
            let timezone = zone.map(str::to_owned);
            let email_digest = EmailDigest::Daily;
            let preferences = Preferences { email_digest, timezone, ..Preferences::default() };
            let delay = preferences.delay(Channel::Email, now).unwrap();
            assert_eq!(delay.until, due.parse().unwrap(), "{zone:?}");
        }
    }
}
