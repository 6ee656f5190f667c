//! The table of the workflow: the statuses, and the steps from one to another.
//!
//! Everything that lists statuses or steps comes from here: the rules in [`super::decide`], the
//! routes and their documentation, the console's buttons, the numbers and colours of boards.

use serde::{Deserialize, Serialize};

use super::super::event::Event;
use super::super::user::{Role, User};
use super::{Caller, Edit, Ticket};

macro_rules! statuses {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $id:literal, $code:literal, $display:literal, $color:literal;
    )*) => {
        named! {
            /// A ticket's status, in the order of the workflow.
            Status { $($(#[$doc])* $variant = $code, $display;)* }
        }

        impl Status {
            /// The number on boards. Clients keep it: it never changes, whatever the order.
            #[must_use]
            pub fn id(self) -> u8 {
                match self { $(Self::$variant => $id,)* }
            }

            /// The colour on boards.
            #[must_use]
            pub fn color(self) -> &'static str {
                match self { $(Self::$variant => $color,)* }
            }
        }
    };
}

macro_rules! steps {
    ($(
        $(#[$doc:meta])*
        $variant:ident $({ $(#[$input_doc:meta])* $input:ident: $type:ty })? = $name:literal {
            about: $about:literal,
            by: $by:ident, from: [$($from:ident),*], to: $to:ident, event: $event:ident,
        }
    )*) => {
        /// A step of the workflow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Step { $($(#[$doc])* $variant,)* }

        /// A command to an existing ticket.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Command {
            $($(#[$doc])* $variant $({ $(#[$input_doc])* $input: $type })?,)*
            /// Change its text, priority or category.
            Edit(Edit),
            /// Delete it.
            Delete,
            /// Take a developer off it who is no member of its project any more.
            Unassign {
                /// The developer.
                developer: User,
            },
        }

        /// The steps, in the order of the workflow.
        pub static WORKFLOW: [Rule; [$($name),*].len()] = [$(Rule {
            step: Step::$variant,
            name: $name,
            about: $about,
            by: Right::$by,
            from: &[$(Status::$from),*],
            to: Status::$to,
            event: Event::$event,
        }),*];

        impl Step {
            /// Its line of the table.
            #[must_use]
            pub fn rule(self) -> &'static Rule {
                &WORKFLOW[self as usize]
            }

            /// Its command, with empty input.
            #[must_use]
            pub fn command(self) -> Command {
                match self {
                    $(Self::$variant => Command::$variant $({ $input: <$type>::new() })?,)*
                }
            }
        }

        impl Command {
            /// The step that it takes, if it takes one.
            #[must_use]
            pub fn step(&self) -> Option<Step> {
                match self {
                    $(Self::$variant $({ $input: _ })? => Some(Step::$variant),)*
                    Self::Edit(_) | Self::Delete | Self::Unassign { .. } => None,
                }
            }
        }
    };
}

// Number, name, label, colour.
statuses! {
    /// Created, not opened yet.
    New = 1, "NEW", "New", "#1890ff";
    /// An admin has taken note.
    Opened = 2, "OPENED", "Opened", "#13c2c2";
    /// Developers are on it.
    Assigned = 3, "ASSIGNED", "Assigned", "#722ed1";
    /// One of them works on it.
    InProgress = 4, "IN_PROGRESS", "In Progress", "#fa8c16";
    /// Done, as far as the developer is concerned.
    Finished = 5, "FINISHED", "Finished", "#2f54eb";
    /// Done, as far as the creator is concerned: the end.
    Approved = 6, "APPROVED", "Approved", "#52c41a";
    /// Not done yet, as far as the creator is concerned.
    Rejected = 7, "REJECTED", "Rejected", "#f5222d";
}

steps! {
    /// Acknowledge it.
    Open = "open" {
        about: "Opens a ticket; its creator is notified. For admins.",
        by: Admin, from: [New], to: Opened, event: TicketOpened,
    }
    /// Assign exactly these developers. The accounts were just read from the store.
    Assign {
        /// Never empty, each once (the edge checks it).
        developers: Vec<User>
    } = "assign" {
        about: "Assigns a ticket to developers; newly assigned ones are notified. For admins.",
        by: Admin, from: [New, Opened, Assigned, InProgress, Rejected], to: Assigned,
        event: TicketAssigned,
    }
    /// Begin.
    StartWork = "start_work" {
        about: "Starts work on a ticket; its creator is notified. For assigned developers.",
        by: AssignedDeveloper, from: [Assigned, Rejected], to: InProgress, event: WorkStarted,
    }
    /// Be done.
    FinishWork = "finish_work" {
        about: "Finishes work on a ticket; the creator and all admins are notified. For assigned \
                developers.",
        by: AssignedDeveloper, from: [InProgress], to: Finished, event: WorkFinished,
    }
    /// Be content.
    Approve = "approve" {
        about: "Approves finished work; admins and the developers are notified. For the creator.",
        by: Creator, from: [Finished], to: Approved, event: TicketApproved,
    }
    /// Be not content.
    Reject {
        /// Why not; empty for no reason.
        reason: String
    } = "reject" {
        about: "Rejects finished work; admins and the developers are notified. For the creator.",
        by: Creator, from: [Finished], to: Rejected, event: TicketRejected,
    }
}

/// A line of the table of steps.
#[derive(Debug)]
pub struct Rule {
    /// The step.
    pub step: Step,
    /// Its name in paths and in a ticket's history.
    pub name: &'static str,
    /// A sentence for the documentation.
    pub about: &'static str,
    /// Who may take it.
    pub by: Right,
    /// The statuses from which it can be taken.
    pub from: &'static [Status],
    /// The status that it leads to.
    pub to: Status,
    /// The event that is announced; it defines the recipients.
    pub event: Event,
}

/// Who may give a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Admins and super admins.
    Admin,
    /// Developers who are assigned to the ticket.
    AssignedDeveloper,
    /// The user who created it.
    Creator,
    /// That user, and admins.
    CreatorOrAdmin,
}

impl Right {
    /// Whether the caller has the right on the ticket.
    #[must_use]
    pub fn is_held(self, ticket: &Ticket, caller: &Caller) -> bool {
        let is_admin = caller.role.is_admin();
        let is_creator = ticket.created_by == caller.id;
        match self {
            Self::Admin => is_admin,
            Self::AssignedDeveloper => {
                caller.role == Role::Developer && ticket.assigned_to.contains(&caller.id)
            }
            Self::Creator => is_creator,
            Self::CreatorOrAdmin => is_creator || is_admin,
        }
    }

    /// Who has it, as a text.
    #[must_use]
    pub fn holder(self) -> &'static str {
        match self {
            Self::Admin => "an admin",
            Self::AssignedDeveloper => "an assigned developer",
            Self::Creator => "its creator",
            Self::CreatorOrAdmin => "its creator or an admin",
        }
    }
}

impl Command {
    /// The command's name in paths and history.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match (self, self.step()) {
            (_, Some(step)) => step.rule().name,
            (Self::Delete, None) => "delete",
            (Self::Unassign { .. }, None) => "unassign",
            (_, None) => "edit",
        }
    }

    /// Who may give it.
    #[must_use]
    pub fn right(&self) -> Right {
        match (self, self.step()) {
            (_, Some(step)) => step.rule().by,
            (Self::Unassign { .. }, None) => Right::Admin,
            (_, None) => Right::CreatorOrAdmin,
        }
    }
}

/// The event of each history action that is announced: `create` and the steps.
pub fn announced_actions() -> impl Iterator<Item = (&'static str, &'static Event)> {
    let steps = WORKFLOW.iter().map(|rule| (rule.name, &rule.event));
    std::iter::once(("create", &Event::TicketCreated)).chain(steps)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_status_has_the_number_and_the_colour_that_boards_know() {
        let known = [
            ("NEW", 1, "#1890ff"),
            ("OPENED", 2, "#13c2c2"),
            ("ASSIGNED", 3, "#722ed1"),
            ("IN_PROGRESS", 4, "#fa8c16"),
            ("FINISHED", 5, "#2f54eb"),
            ("APPROVED", 6, "#52c41a"),
            ("REJECTED", 7, "#f5222d"),
        ];
        for (name, id, color) in known {
            let status = Status::from_name(name).unwrap();
            assert_eq!((status.id(), status.color()), (id, color), "{name}");
        }
        let ids: BTreeSet<u8> = Status::ALL.iter().map(|status| status.id()).collect();
        let colors: BTreeSet<&str> = Status::ALL.iter().map(|status| status.color()).collect();
        assert_eq!((ids.len(), colors.len()), (Status::ALL.len(), Status::ALL.len()));
    }

    #[test]
    fn each_step_has_its_line_and_its_command() {
        for rule in &WORKFLOW {
            assert_eq!(rule.step.rule().name, rule.name);
            let command = rule.step.command();
            assert_eq!((command.step(), command.name()), (Some(rule.step), rule.name));
        }
    }

    #[test]
    fn every_status_can_be_reached() {
        for status in Status::ALL.iter().filter(|status| **status != Status::New) {
            assert!(WORKFLOW.iter().any(|rule| rule.to == *status), "{status:?}");
        }
    }
}
