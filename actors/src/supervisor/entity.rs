//! The interface between a dynamic supervisor and its children.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use ractor::{ActorCell, ActorId, ActorRef, SpawnErr};

use crate::observe::ActorReport;
use crate::vitals::{Handle, Vitals};
use bellpull_port::call::Call;

/// The addresses and messages of a kind of actor, apart from their behaviour: the directory needs
/// only these.
pub trait Protocol: Debug + Send + Sync + Sized + 'static {
    /// Identifies an actor.
    type Id: Copy + Eq + Hash + Display + Debug + Send + Sync + 'static;
    /// Its messages.
    type Message: ractor::Message;
    /// A child's note to its supervisor, for [`Entity::settle`].
    type Note: Debug + Send + 'static;

    /// `user`, `ticket`.
    const KIND: &'static str;

    /// The id as a number: which shard it belongs to.
    fn number(id: Self::Id) -> u64;

    /// The message to a child once per rotation of the wheel.
    fn tick() -> Self::Message;

    /// Requests a child's report.
    fn observe(call: Call<(), serde_json::Value>) -> Self::Message;
}

/// The id of an entity's actors.
pub type Id<E> = <<E as Entity>::Protocol as Protocol>::Id;
/// The messages of an entity's actors.
pub type Message<E> = <<E as Entity>::Protocol as Protocol>::Message;
/// The notes of an entity's actors to their supervisor.
pub type Note<E> = <<E as Entity>::Protocol as Protocol>::Note;

/// A kind of actor with one instance per id.
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

    /// How long a rotation of the wheel takes: the interval of each child's [`Protocol::tick`].
    fn turn(&self) -> Duration;

    /// Handles all notes since the last tick, for work that is cheaper in batches.
    fn settle(&self, notes: Vec<Note<Self>>);
}

/// All live actors of a kind, over all shards. Only the supervisors write it.
pub type Live<P> = Arc<DashMap<<P as Protocol>::Id, Handle<<P as Protocol>::Message>>>;

/// The requested actor.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<I> {
    /// The actor's id.
    pub id: I,
    /// Another one than this: it gave a request back, so it is leaving or dying.
    pub successor_of: Option<ActorId>,
}

/// A request for an actor; the error is how long it stays down.
pub type ObtainRequest<P> =
    Call<Wanted<<P as Protocol>::Id>, Result<Handle<<P as Protocol>::Message>, Duration>>;

/// An operator's request to restart the actor of an id, with the operator's name; the answer is
/// whether there is one.
pub type RestartRequest<I> = Call<(I, Arc<str>), bool>;

/// The messages of a dynamic supervisor.
#[derive(Debug)]
pub enum SupervisorMessage<P: Protocol> {
    /// Find or spawn the actor of an id.
    Obtain(ObtainRequest<P>),
    /// A child has nothing to do and wants to leave.
    Idle {
        /// The actor's id.
        id: P::Id,
        /// Which actor: by now there may be another one of that id.
        actor: ActorId,
    },
    /// A child's note.
    Note(P::Note),
    /// The wheel moves by a slot.
    Tick,
    /// Report all children: at most this many, the busiest first.
    Report(Call<usize, ActorReport>),
    /// An operator wants a child started again.
    Restart(RestartRequest<P::Id>),
    /// Fail: for tests of failures.
    #[cfg(feature = "testing")]
    Panic,
}

/// A child's handle to its supervisor.
#[derive(Debug)]
pub struct Parent<P: Protocol>(pub(crate) Handle<SupervisorMessage<P>>);

impl<P: Protocol> Parent<P> {
    /// Reports that the child is idle; from now on it must handle no request.
    pub fn idle(&self, id: P::Id, actor: ActorId) {
        self.0.cast(SupervisorMessage::Idle { id, actor });
    }

    /// Passes a note.
    pub fn note(&self, note: P::Note) {
        self.0.cast(SupervisorMessage::Note(note));
    }
}
