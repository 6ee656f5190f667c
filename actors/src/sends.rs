//! Sends: how the edges and the user actors send users' messages.
//!
//! An accepted send is on disk, its first recipients are notified by a task that outlives the
//! request, and the [scheduler](crate::scheduler) does the rest.

use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::watch;

use crate::directory::Users;
use crate::limits::CHUNK;
use crate::scheduler::SchedulerMessage;
use crate::vitals::Handle;
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, UserId};
use bellpull_domain::notification::Message;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, NoteRight, Recipients, is_good_link, note_right};
use bellpull_domain::ticket::{Caller, Priority};
use bellpull_port::in_time;
use bellpull_port::rate::{Quota, retry_after_ms};
use bellpull_port::sends::{BeginSend, StoredSend};
use bellpull_port::session::{Answer, Note};
use bellpull_port::shared_rate::SharedRate;
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::trace::Trace;
use bellpull_port::{Clock, LeaseOwner, ProjectStore, SendStore, StoreError};

/// Notes of one account at once, over all nodes: enough for a form that notifies a whole team.
const NOTES_BURST: u32 = 20;
/// And per second: faster than typing, slower than a loop.
const NOTES_PER_S: u32 = 5;
/// The accounts whose notes are counted: how many may have sent within the last 4 s, after which a
/// bucket is full again.
const NOTERS_MAX: usize = 16_384;

/// When a store that was unavailable may be retried.
const AWAY_RETRY_MS: u32 = 1_000;

/// The handle to the scheduler, while it is up.
pub(crate) type SchedulerSlot = watch::Receiver<Option<Handle<SchedulerMessage>>>;

/// The service for sends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sends {
    store: Arc<dyn SendStore>,
    /// Of the scheduler's claims.
    owner: LeaseOwner,
    projects: Arc<dyn ProjectStore>,
    users: Users,
    clock: Arc<dyn Clock>,
    scheduler: SchedulerSlot,
    notes: Arc<SharedRate<UserId>>,
}

/// A send that was taken in.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The sender's answer.
    pub stored: StoredSend,
    /// Whether it had been taken in before, by its key.
    pub is_repeated: bool,
}

/// Why a send was not taken in. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Its key was used for another body.
    #[error("the key was used before, with another body")]
    KeyReused,
    /// Some of its recipients do not exist; the first few of them.
    #[error("there are no such users: {0:?}")]
    UnknownUsers(Vec<UserId>),
    /// The project of its recipients does not exist.
    #[error("there is no such project")]
    UnknownProject,
    /// The store does not answer in time: it may still be accepted, and a key shows whether it was.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a note over a socket was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendRefusal {
    /// The sender may not send to that user, or to any (and is not told whether the user exists).
    #[error("You may not send notifications to this user.")]
    Forbidden,
    /// The sender has sent too many.
    #[error("Too many notifications, try again in {retry_after_ms} ms.")]
    Throttled {
        /// When the next one is admitted.
        retry_after_ms: u32,
    },
    /// There is no such user.
    #[error("There is no such user.")]
    NotFound,
    /// Its link leads where none may.
    #[error("The link must be relative or begin with http:// or https://.")]
    BadLink,
    /// Its event or kind is reserved for the hub.
    #[error("The notification type \"{0}\" is the hub's own; choose another.")]
    HubsEvent(Event),
    /// The store does not answer.
    #[error("The hub cannot send this now, try again later.")]
    Unavailable,
}

impl From<SendRefusal> for Answer {
    fn from(refusal: SendRefusal) -> Self {
        let (code, retry_after_ms) = match &refusal {
            SendRefusal::Forbidden => ("permission_denied", None),
            SendRefusal::Throttled { retry_after_ms } => ("throttled", Some(*retry_after_ms)),
            SendRefusal::NotFound => ("not_found", None),
            SendRefusal::BadLink | SendRefusal::HubsEvent(_) => ("invalid", None),
            SendRefusal::Unavailable => ("unavailable", Some(AWAY_RETRY_MS)),
        };
        Self::Refused { code, message: refusal.to_string(), retry_after_ms }
    }
}

impl Sends {
    pub(crate) fn new(
        (store, owner): (Arc<dyn SendStore>, LeaseOwner),
        projects: Arc<dyn ProjectStore>,
        users: Users,
        clock: Arc<dyn Clock>,
        scheduler: SchedulerSlot,
    ) -> Self {
        let quota = Quota::per_second(NOTES_PER_S, NOTES_BURST);
        let notes = SharedRate::new("notes", quota, NOTERS_MAX, users.shared_limits());
        let notes = Arc::new(notes);
        Self { store, owner, projects, users, clock, scheduler, notes }
    }

    /// Accepts a send. When this returns `Ok`, it is on the disk with its first recipients, and
    /// will be carried out after any crash. The caller may be cancelled at any time: an accepted
    /// send is announced in any case.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, new: NewSend) -> Result<Sent, SendError> {
        let (sends, due_at) = (self.clone(), new.due_at);
        let work = tokio::spawn(Trace::current().within(async move {
            let begun = sends.store.begin_send(new, CHUNK, sends.clock.now()).await?;
            if let BeginSend::Begun { send, announced, has_more } = &begun {
                sends.begun(*send, announced.as_ref(), *has_more, due_at).await;
            }
            Ok(begun)
        }));
        let ended = |error: tokio::task::JoinError| StoreError::Unavailable(error.to_string());
        match in_time(async { work.await.map_err(ended)? }).await? {
            BeginSend::Begun { send, .. } => Ok(Sent { stored: send, is_repeated: false }),
            BeginSend::Repeated(send) => Ok(Sent { stored: send, is_repeated: true }),
            BeginSend::KeyReused => Err(SendError::KeyReused),
            BeginSend::UnknownUsers(users) => Err(SendError::UnknownUsers(users)),
            BeginSend::UnknownProject => Err(SendError::UnknownProject),
        }
    }

    /// Announces a send to its first recipients, and the rest of it to the scheduler.
    async fn begun(
        &self,
        send: StoredSend,
        announced: Option<&AnnouncedMessage>,
        has_more: bool,
        due_at: Option<Timestamp>,
    ) {
        metrics::counter!("bellpull_sends_total").increment(1);
        if let Some(announced) = announced {
            self.users.tell_many(announced, None).await;
        }
        let left = match due_at {
            Some(due_at) if send.is_scheduled => SchedulerMessage::Scheduled(due_at),
            _ if has_more => SchedulerMessage::More(send.id),
            Some(_) | None => return,
        };
        self.cast(left);
    }

    /// Notifies the scheduler; one that is down reads the store when it is up again.
    pub(crate) fn cast(&self, message: SchedulerMessage) {
        if let Some(scheduler) = &*self.scheduler.borrow() {
            scheduler.cast(message);
        }
    }

    /// Releases the claims of the scheduler, which has stopped, so that other nodes need not wait
    /// until they end.
    pub(crate) async fn release(&self) {
        if let Err(error) = in_time(self.store.release_sends(&self.owner)).await {
            tracing::warn!(%error, "the claims of this node's sends end by their time");
        }
    }

    /// Sends a user's note to another user, if the rules and the rate allow it.
    /// When this returns `Ok`, the notification is on the disk.
    ///
    /// # Errors
    /// See [`SendRefusal`].
    pub async fn send_note(
        &self,
        caller: &Caller,
        note: Note,
    ) -> Result<NotificationId, SendRefusal> {
        let right = note_right(caller, note.to);
        if right == NoteRight::Withheld {
            return Err(SendRefusal::Forbidden);
        }
        let event = Event::from_name(&note.event);
        // Front ends show these as the hub's own statements, some by the event's name alone: a
        // colleague's text must not be mistaken for one. Admins may send them, as over REST: their
        // messages are the hub's, and a system whose tickets are elsewhere announces them in this
        // way.
        if event.is_the_hubs() && !caller.role.is_admin() {
            return Err(SendRefusal::HubsEvent(event));
        }
        let throttled = |wait| SendRefusal::Throttled { retry_after_ms: retry_after_ms(wait) };
        self.notes.admit(&caller.id).await.map_err(throttled)?;
        if !is_good_link(&note.link) {
            return Err(SendRefusal::BadLink);
        }
        if right == NoteRight::IfTheyShareAProject {
            let shares = in_time(self.projects.share_project(caller.id, note.to)).await;
            if !shares.map_err(away)? {
                return Err(SendRefusal::Forbidden);
            }
        }
        match self.send(of_note(note, event, caller.id, self.clock.now())).await {
            Ok(Sent { stored, .. }) => stored.notification.ok_or(SendRefusal::NotFound),
            Err(SendError::UnknownUsers(_)) => Err(SendRefusal::NotFound),
            Err(error) => Err(away(error)),
        }
    }
}

fn away(error: impl std::fmt::Display) -> SendRefusal {
    tracing::warn!(%error, "a note was not sent");
    SendRefusal::Unavailable
}

/// A note as a send to one user. It has no external deliveries, whatever its event: the events that
/// are sent by e-mail are the hub's own.
fn of_note(note: Note, event: Event, sender: UserId, now: Timestamp) -> NewSend {
    let Note { to, title, message, event: _, kind, link, data } = note;
    NewSend {
        message: Message {
            event,
            kind,
            title,
            body: message,
            action_url: link,
            metadata: data,
            ticket: None,
            sender: Some(sender),
            priority: Priority::Medium,
            created_at: now,
        },
        recipients: Recipients::Users(vec![to]),
        channels: Channels::of(&[Channel::System]),
        is_critical: false,
        due_at: None,
        key: None,
    }
}
