//! The order of a ticket's lines on the project's stream.
//!
//! Several nodes may change a ticket in turn, and each announces its own changes: of two lines the
//! older may arrive later, by far if its node was frozen between commit and announcement. Clients
//! show the last line that they are sent, so an older one is dropped here.

use std::collections::HashMap;

use bellpull_domain::ids::TicketId;
use bellpull_domain::stream::{StreamEvent, TicketNews};

/// The tickets whose versions are kept; past it all are forgotten. A late line is behind by
/// seconds, in which a project changes fewer tickets.
const KEPT_MAX: usize = 4_096;

/// The last version of each ticket that was announced here.
#[derive(Debug, Default)]
pub(super) struct Lines {
    versions: HashMap<TicketId, i64>,
}

impl Lines {
    /// Whether it is no older line of a ticket than what was announced. It is, from here on.
    pub(super) fn is_news(&mut self, news: &TicketNews) -> bool {
        let StreamEvent::Ticket { line, .. } = &news.content.event else { return true };
        if self.versions.get(&line.id).is_some_and(|known| *known >= line.version) {
            return false;
        }
        if self.versions.len() >= KEPT_MAX {
            self.versions.clear();
        }
        self.versions.insert(line.id, line.version);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellpull_domain::ids::ProjectId;
    use bellpull_domain::stream::{SharedStreamEvent, TicketAction, TicketLine};
    use bellpull_domain::ticket::{Stakes, Status};

    fn line(ticket: i64, version: i64) -> TicketNews {
        let (key, title) = (String::new(), String::new());
        let line = TicketLine { id: TicketId(ticket), key, title, status: Status::New, version };
        let event = StreamEvent::Ticket { action: TicketAction::Updated, line };
        let content = SharedStreamEvent::new(ProjectId(1), event);
        let stakes =
            Stakes { created_by: bellpull_domain::ids::UserId(1), assigned_to: Vec::new() };
        TicketNews { content, stakes }
    }

    #[test]
    fn an_older_line_of_the_same_ticket_is_no_news() {
        let mut lines = Lines::default();
        let told: Vec<bool> = [(5, 1), (5, 3), (5, 2), (5, 3), (6, 1), (5, 4)]
            .iter()
            .map(|(ticket, version)| lines.is_news(&line(*ticket, *version)))
            .collect();
        assert_eq!(told, [true, true, false, false, true, true]);
        for ticket in 0..10_000 {
            assert!(lines.is_news(&line(100 + ticket, 1)));
        }
        assert!(lines.versions.len() <= KEPT_MAX);
    }
}
