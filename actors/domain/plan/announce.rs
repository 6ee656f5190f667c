//! What an announcement writes: inbox entries and external deliveries.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::ids::{MessageId, NotificationId, ProjectId, UserId};
use super::super::inbox::MessageContent;
use super::super::notification::{Announcement, Message};
use super::super::preference::{Routed, RoutedBy};
use super::super::routing::Channels;
use super::{
    AnnouncedMessage, External, InboxEntry, NewDelivery, NewEntry, Plan, Rejection, Routing,
    Subject,
};

/// The next recipients of a send.
#[derive(Debug, Clone, Copy)]
pub struct SendPart<'p> {
    /// The send's message.
    pub message: MessageId,
    /// The message.
    pub content: &'p Arc<MessageContent>,
    /// Whether the message itself is to be written: this is the send's first part.
    pub is_new: bool,
    /// In the order of their ids; none for a send that is for later.
    pub recipients: &'p [UserId],
    /// The id that was given to the send's only notification before.
    pub only: Option<NotificationId>,
    /// The channels that the sender chose.
    pub channels: Channels,
    /// Whether it overrides the recipients' rules.
    pub is_critical: bool,
    /// The time of this part.
    pub now: Timestamp,
}

impl Plan<'_> {
    /// Plans an announcement of its own: one that no ticket's decision makes.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] when a recipient does not exist.
    pub fn announce(
        &mut self,
        announcement: &Announcement,
    ) -> Result<Option<AnnouncedMessage>, Rejection> {
        let audience = self.audience(announcement)?;
        self.tell_audience(announcement, audience, announcement.message.clone(), None)
    }

    /// Plans the next part of a send; `together` recipients are notified by all parts of this
    /// group. Returns `None` if no recipient gets a notification.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] if a recipient does not exist: the whole group must be rolled back.
    pub fn send(
        &mut self,
        part: SendPart<'_>,
        together: usize,
    ) -> Result<Option<AnnouncedMessage>, Rejection> {
        let SendPart { message, content, recipients, only, now, .. } = part;
        if part.is_new {
            self.rows.messages.push((message, Arc::clone(content)));
        }
        let routed = Routed { channels: part.channels, by: RoutedBy::Sender };
        let mut routing = self.routing(content, routed);
        routing.is_critical = part.is_critical;
        // A send that was due while no node ran begins to wait only now.
        routing.due_at = routing.due_at.max(now);
        let announced = self.tell((message, content), &routing, recipients, only, together)?;
        Ok((!announced.entries.is_empty()).then_some(announced))
    }

    /// The users of an announcement's audience; all of them must exist.
    pub(super) fn audience(&self, announcement: &Announcement) -> Result<Vec<UserId>, Rejection> {
        let audience = &announcement.audience;
        let users = audience.recipients(self.facts.members.of(audience.group));
        let exist = users.iter().all(|user| self.facts.recipients.contains_key(user));
        if exist { Ok(users) } else { Err(Rejection::NotFound) }
    }

    /// Adds an entry to the inbox of each user of the audience who has not switched it off, and
    /// calls the webhooks of the project. Without a recipient and a webhook, nothing is written.
    pub(super) fn tell_audience(
        &mut self,
        announcement: &Announcement,
        mut recipients: Vec<UserId>,
        message: Message,
        project: Option<ProjectId>,
    ) -> Result<Option<AnnouncedMessage>, Rejection> {
        let content = MessageContent::new(message);
        let routed = Routed { channels: announcement.channels, by: RoutedBy::Hub };
        let routing = self.routing(&content, routed);
        let known = &self.facts.recipients;
        recipients.retain(|user| known.get(user).is_some_and(|one| routing.reaches(one)));
        let is_called = self.facts.called(project, routing.event).next().is_some();
        if recipients.is_empty() && !is_called {
            return Ok(None);
        }
        let message = self.context.ids.message();
        self.rows.messages.push((message, Arc::clone(&content)));
        let together = recipients.len();
        let mut announced =
            self.tell((message, &content), &routing, &recipients, None, together)?;
        for hook in self.facts.called(project, routing.event) {
            let external = External { to: &hook.address, route: routing.to_project() };
            let (id, subject) = (self.context.ids.delivery(), Subject::Message(message));
            self.rows.deliveries.push(NewDelivery::new(id, subject, &external, routing.ticket));
            announced.channels = announced.channels.with(external.route.channel);
        }
        Ok(Some(announced))
    }

    fn routing<'l>(&self, content: &'l MessageContent, routed: Routed) -> Routing<'l> {
        let Message { event, ticket, created_at, .. } = &content.message;
        Routing {
            event,
            ticket: ticket.as_ref().map(|ticket| ticket.id),
            routed,
            escalation: self.facts.escalations.get(event.as_str()).cloned(),
            is_critical: false,
            on: self.context.channels,
            due_at: *created_at,
        }
    }

    /// Adds a message to the inboxes of its recipients, with its external deliveries. An entry
    /// without a delivery may be deferred if `together` recipients are many.
    fn tell(
        &mut self,
        (message, content): (MessageId, &Arc<MessageContent>),
        routing: &Routing<'_>,
        recipients: &[UserId],
        only: Option<NotificationId>,
        together: usize,
    ) -> Result<AnnouncedMessage, Rejection> {
        let mut entries = Vec::with_capacity(recipients.len());
        let mut channels = Channels::NONE;
        let ids = self.context.ids;
        let are_many = self.context.defers_from.is_some_and(|from| together >= from);
        let first_delivery = self.rows.deliveries.len();
        for &recipient in recipients {
            let known = self.facts.recipients.get_mut(&recipient).ok_or(Rejection::NotFound)?;
            if !routing.reaches(known) {
                continue;
            }
            let seq = known.head.append();
            let id = only.unwrap_or_else(|| ids.notification());
            let mut may_wait = are_many || known.is_deferred;
            for external in routing.external(known) {
                let subject = Subject::Notification(id, recipient);
                let delivery = NewDelivery::new(ids.delivery(), subject, &external, routing.ticket);
                self.rows.deliveries.push(delivery);
                may_wait = false;
                if external.route.is_queued() {
                    channels = channels.with(external.route.channel);
                }
            }
            let unread_count = known.head.unread_count;
            let reach = if may_wait { known.plain_reach() } else { None };
            let entry = NewEntry { id, recipient, seq, message, unread_count, may_wait, reach };
            self.rows.entries.push(entry);
            entries.push(InboxEntry { recipient, id, seq, unread_count });
        }
        if !entries.is_empty() {
            let copies = i64::try_from(entries.len()).unwrap_or(i64::MAX);
            *self.rows.copies.entry(message).or_default() += copies;
        }
        self.remember_steps(routing, first_delivery);
        Ok(AnnouncedMessage { content: Arc::clone(content), entries, channels })
    }

    /// A later decision of this group may call off the steps that were planned since.
    fn remember_steps(&mut self, routing: &Routing<'_>, first_delivery: usize) {
        let planned = first_delivery..self.rows.deliveries.len();
        if let (Some(_), Some(ticket)) = (&routing.escalation, routing.ticket)
            && !planned.is_empty()
        {
            self.steps.entry(ticket).or_default().push(planned);
        }
    }
}
