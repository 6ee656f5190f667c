//! Where a report finds the notifications and deliveries of its messages.
//!
//! No index leads from a message to its notifications or from a time to its deliveries: every write
//! would have to maintain it. Instead `id_marks` divides the tables into segments. A segment begins
//! with the first message written in an hour and stores the last ids of that moment. The rows of a
//! message are in its own segment, in those of the next [`LATE_MAX_HOURS`] hours or, for a
//! scheduled message, in those from the hour of its time on. Segments only limit what is read: the
//! message of each row decides whether it counts.

use std::collections::BTreeSet;

use crate::engine::{Db, Failure, Row, sql};
use crate::rows::int;

/// How much later than its message a row may be written: a send to very many takes time, and one
/// that was due while the hub was off is late.
const LATE_MAX_HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;

/// The ids of a segment are greater than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    hour: i64,
    message: i64,
    notification: i64,
    delivery: i64,
}

/// A range of ids: greater than the first, up to the second.
pub(super) type Range = (i64, i64);

/// The segments that a report reads.
#[derive(Debug)]
pub(super) struct Segments {
    /// In the order in which they were written.
    marks: Vec<Mark>,
    /// Those with rows of the report's messages.
    wanted: BTreeSet<usize>,
    /// The segment and hour of the last message: neighbours nearly always share both.
    last: Option<(usize, i64)>,
    notification_max: i64,
    delivery_max: i64,
}

impl Segments {
    /// Reads where segments begin.
    pub(super) async fn read(db: &mut Db<'_>) -> Result<Self, Failure> {
        let marks = sql!(
            "SELECT hour, message_id, notification_id, delivery_id FROM id_marks \
             ORDER BY message_id, hour"
        );
        let mark = |row: &Row| {
            Ok(Mark {
                hour: int(row, "hour")?,
                message: int(row, "message_id")?,
                notification: int(row, "notification_id")?,
                delivery: int(row, "delivery_id")?,
            })
        };
        let marks = db.all(marks, &[], mark).await?;
        let notification_max = db.count(sql!("SELECT max(id) FROM notifications"), &[]).await?;
        let delivery_max = db.count(sql!("SELECT max(id) FROM deliveries"), &[]).await?;
        Ok(Self::new(marks, notification_max, delivery_max))
    }

    fn new(mut marks: Vec<Mark>, notification_max: i64, delivery_max: i64) -> Self {
        // Rows from before the first mark are a segment too.
        let hour = marks.first().map_or(0, |first| first.hour - 1);
        marks.insert(0, Mark { hour, message: 0, notification: 0, delivery: 0 });
        let (wanted, last) = (BTreeSet::new(), None);
        Self { marks, wanted, last, notification_max, delivery_max }
    }

    /// Includes the rows of this message.
    pub(super) fn want(&mut self, message: i64, created_ms: i64) {
        let behind = self.marks.partition_point(|mark| mark.message < message);
        let (own, hour) = (behind.saturating_sub(1), created_ms.div_euclid(HOUR_MS));
        if self.last == Some((own, hour)) {
            return;
        }
        self.last = Some((own, hour));
        let of_its_time = self.marks.iter().rposition(|mark| mark.hour <= hour);
        for first in [own, of_its_time.unwrap_or(own)] {
            let late_max = self.marks[first].hour + LATE_MAX_HOURS;
            let rest = self.marks.iter().enumerate().skip(first);
            let near = rest.take_while(|(at, mark)| *at == first || mark.hour <= late_max);
            self.wanted.extend(near.map(|(at, _)| at));
        }
    }

    /// The ranges of notification ids, in order.
    pub(super) fn notifications(&self) -> Vec<Range> {
        self.ranges(|mark| mark.notification, self.notification_max)
    }

    /// The ranges of delivery ids, in order.
    pub(super) fn deliveries(&self) -> Vec<Range> {
        self.ranges(|mark| mark.delivery, self.delivery_max)
    }

    fn ranges(&self, first: impl Fn(&Mark) -> i64, max: i64) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for at in &self.wanted {
            let from = first(&self.marks[*at]);
            let to = self.marks.get(at + 1).map_or(max, &first);
            match ranges.last_mut() {
                Some(last) if last.1 >= from => last.1 = last.1.max(to),
                _ => ranges.push((from, to)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24;

    /// A segment each day, with ten messages, a hundred notifications and a thousand deliveries.
    fn segments() -> Segments {
        let mark = |day: i64| Mark {
            hour: day * DAY + 100,
            message: day * 10,
            notification: day * 100,
            delivery: day * 1_000,
        };
        Segments::new((1..10).map(mark).collect(), 990, 9_990)
    }

    fn wanted(messages: &[(i64, i64)]) -> (Vec<Range>, Vec<Range>) {
        let mut segments = segments();
        for (message, hour) in messages {
            segments.want(*message, hour * HOUR_MS);
        }
        (segments.notifications(), segments.deliveries())
    }

    #[test]
    fn a_messages_rows_are_looked_for_around_it_and_a_day_later() {
        let hour = |day: i64| day * DAY + 100;
        assert_eq!(wanted(&[]), (vec![], vec![]));
        let of_the_third = (vec![(300, 500)], vec![(3_000, 5_000)]);
        assert_eq!(wanted(&[(35, hour(3))]), of_the_third);
        assert_eq!(wanted(&[(35, hour(3)), (36, hour(3) + 1)]), of_the_third);
        assert_eq!(wanted(&[(40, hour(3))]).0, [(300, 500)], "up to the mark");
        assert_eq!(wanted(&[(41, hour(4))]).0, [(400, 600)]);
        assert_eq!(wanted(&[(95, hour(9))]).0, [(900, 990)], "up to the last of all");
        let before_all_marks = wanted(&[(5, hour(1) - 1)]).0;
        assert_eq!(before_all_marks, [(0, 200)]);
    }

    #[test]
    fn a_messages_time_may_be_another_one_than_its_id_says() {
        let hour = |day: i64| day * DAY + 100;
        // Scheduled on the second day for the seventh.
        assert_eq!(wanted(&[(25, hour(7))]).0, [(200, 400), (700, 900)]);
        // From long before the first mark, and from the future.
        assert_eq!(wanted(&[(25, 0)]).0, [(200, 400)]);
        assert_eq!(wanted(&[(25, 100_000)]).0, [(200, 400), (900, 990)]);
        // Two in reverse order.
        assert_eq!(wanted(&[(85, hour(2)), (25, hour(8))]).0, [(200, 400), (800, 990)]);
    }
}
