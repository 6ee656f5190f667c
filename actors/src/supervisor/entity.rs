//! What a dynamic supervisor and its children know of each other.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use ractor::{ActorCell, ActorId, ActorRef, SpawnErr};

use crate::call::Call;
use crate::observe::ActorReport;
use crate::vitals::{Handle, Vitals};

/// How the actors of a kind are addressed and what they are sent, apart from what they do with it:
/// the directory needs the former only.
pub trait Protocol: Debug + Send + Sync + Sized + 'static {
    /// Identifies an actor.
    type Id: Copy + Eq + Hash + Display + Debug + Send + Sync + 'static;
    /// What they are sent.
    type Message: ractor::Message;
    /// What a child may give to its supervisor for [`Entity::settle`].
    type Note: Debug + Send + 'static;

    /// `user`, `ticket`.
    const KIND: &'static str;

    /// The id as a number: which shard it belongs to.
    fn number(id: Self::Id) -> u64;

    /// What a child is sent once a turn of the wheel.
    fn tick() -> Self::Message;

    /// Asks a child for its observable state.
    fn observe(call: Call<(), serde_json::Value>) -> Self::Message;
}

/// The id of an entity's actors.
pub type Id<E> = <<E as Entity>::Protocol as Protocol>::Id;
/// What an entity's actors are sent.
pub type Message<E> = <<E as Entity>::Protocol as Protocol>::Message;
/// What an entity's actors give to their supervisor.
pub type Note<E> = <<E as Entity>::Protocol as Protocol>::Note;

/// A kind of actor of which there is one an id.
pub trait Entity: Clone + Debug + Send + Sync + 'static {
    /// How its actors are addressed.
    type Protocol: Protocol;

    /// Spawns the actor of `id` under `supervisor`. Must not wait for anything slow.
    fn spawn(
        &self,
        id: Id<Self>,
        parent: Parent<Self::Protocol>,
        vitals: Arc<Vitals>,
        supervisor: ActorCell,
    ) -> impl Future<Output = Result<ActorRef<Message<Self>>, SpawnErr>> + Send;

    /// How long the wheel takes to turn: each child gets a [`Protocol::tick`] so often.
    fn turn(&self) -> Duration;

    /// Does with all notes since the last tick what is better done for many at once.
    fn settle(&self, notes: Vec<Note<Self>>);
}

/// All live actors of a kind, over all shards. Only the supervisors write it.
pub type Live<P> = Arc<DashMap<<P as Protocol>::Id, Handle<<P as Protocol>::Message>>>;

/// The requested actor.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<I> {
    /// Whose.
    pub id: I,
    /// Not this one: it gave a question back, so it is leaving or dying.
    pub but_not: Option<ActorId>,
}

/// A wish for an actor; the error says for how long it stays down.
pub type ObtainMail<P> =
    Call<Wanted<<P as Protocol>::Id>, Result<Handle<<P as Protocol>::Message>, Duration>>;

/// An operator's wish that the actor of an id be started again, with the operator's name; the
/// answer says whether there is one.
pub type RestartMail<I> = Call<(I, Arc<str>), bool>;

/// What a dynamic supervisor is sent.
#[derive(Debug)]
pub enum SupervisorMessage<P: Protocol> {
    /// Find or spawn the actor of an id.
    Obtain(ObtainMail<P>),
    /// A child has nothing to do and wants to leave.
    Idle {
        /// Whose actor it is.
        id: P::Id,
        /// Which actor: by now there may be another one of that id.
        actor: ActorId,
    },
    /// A child's note.
    Note(P::Note),
    /// The wheel moves by a slot.
    Tick,
    /// How are you all? At most so many children, the busiest first.
    Report(Call<usize, ActorReport>),
    /// An operator wants a child started again.
    Restart(RestartMail<P::Id>),
}

/// A child's way to its supervisor.
#[derive(Debug)]
pub struct Parent<P: Protocol>(pub(crate) Handle<SupervisorMessage<P>>);

impl<P: Protocol> Parent<P> {
    /// Says that the child has nothing to do; from now on it must open no mail.
    pub fn idle(&self, id: P::Id, actor: ActorId) {
        self.0.cast(SupervisorMessage::Idle { id, actor });
    }

    /// Gives a note.
    pub fn note(&self, note: P::Note) {
        self.0.cast(SupervisorMessage::Note(note));
    }
}
