//! What a dynamic supervisor and its children know of each other.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use ractor::{ActorCell, ActorId, ActorRef, SpawnErr};

use crate::mail::Mail;
use crate::observe::ActorReport;
use crate::vitals::{Handle, Vitals};

/// A kind of actor of which there is one an id.
pub trait Entity: Clone + Debug + Send + Sync + 'static {
    /// What tells its actors apart.
    type Id: Copy + Eq + Hash + Display + Debug + Send + Sync + 'static;
    /// What they are sent.
    type Message: ractor::Message;
    /// What a child may give to its supervisor for [`Entity::settle`].
    type Note: Send + 'static;

    /// `user`, `ticket`.
    const KIND: &'static str;

    /// The id as a number: which shard it belongs to.
    fn number(id: Self::Id) -> u64;

    /// Spawns the actor of `id` under `supervisor`. Must not wait for anything slow.
    fn spawn(
        &self,
        id: Self::Id,
        parent: Parent<Self>,
        vitals: Arc<Vitals>,
        supervisor: ActorCell,
    ) -> impl Future<Output = Result<ActorRef<Self::Message>, SpawnErr>> + Send;

    /// How long the wheel takes to turn: each child gets a [`Entity::tick`] so often.
    fn turn(&self) -> Duration;

    /// What a child is sent once a turn of the wheel.
    fn tick() -> Self::Message;

    /// Asks a child how it is.
    fn observe(mail: Mail<(), serde_json::Value>) -> Self::Message;

    /// Does with all notes since the last tick what is better done for many at once.
    fn settle(&self, notes: Vec<Self::Note>);
}

/// All live actors of a kind, over all shards. Only the supervisors write it.
pub type Live<E> = Arc<DashMap<<E as Entity>::Id, Handle<<E as Entity>::Message>>>;

/// Which actor somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<I> {
    /// Whose.
    pub id: I,
    /// Not this one: it gave a question back, so it is leaving or dying.
    pub but_not: Option<ActorId>,
}

/// A wish for an actor; the error says for how long it stays down.
pub type ObtainMail<E> =
    Mail<Wanted<<E as Entity>::Id>, Result<Handle<<E as Entity>::Message>, Duration>>;

/// An operator's wish that the actor of an id be started again, with the operator's name; the
/// answer says whether there is one.
pub type RestartMail<I> = Mail<(I, Arc<str>), bool>;

/// What a dynamic supervisor is sent.
#[derive(Debug)]
pub enum SupervisorMessage<E: Entity> {
    /// Find or spawn the actor of an id.
    Obtain(ObtainMail<E>),
    /// A child has nothing to do and wants to leave.
    Idle {
        /// Whose actor it is.
        id: E::Id,
        /// Which actor: by now there may be another one of that id.
        actor: ActorId,
    },
    /// A child's note.
    Note(E::Note),
    /// The wheel moves by a slot.
    Tick,
    /// How are you all? At most so many children, the busiest first.
    Report(Mail<usize, ActorReport>),
    /// An operator wants a child started again.
    Restart(RestartMail<E::Id>),
}

/// A child's way to its supervisor.
#[derive(Debug)]
pub struct Parent<E: Entity>(pub(crate) Handle<SupervisorMessage<E>>);

impl<E: Entity> Parent<E> {
    /// Says that the child has nothing to do; from now on it must open no mail.
    pub fn idle(&self, id: E::Id, actor: ActorId) {
        self.0.cast(SupervisorMessage::Idle { id, actor });
    }

    /// Gives a note.
    pub fn note(&self, note: E::Note) {
        self.0.cast(SupervisorMessage::Note(note));
    }
}
