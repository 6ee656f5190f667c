//! Types and rules, pure: no `async`, no clock, no randomness, no client format.
//!
//! In reading order: [`ids`], [`user`], [`confusable`] (names that look alike), [`ticket`] (the
//! workflow), [`event`] (the hub's events and their texts), [`channel`] (the table of channels),
//! [`address`], [`routing`] (recipients and channels), [`notification`], [`inbox`], [`send`] (a
//! message to many), [`idempotency`] (repeated requests), [`comment`], [`stream`] (events for
//! watchers of a project), [`presence`] (who watches), [`node`] (which nodes are live),
//! [`delivery`], [`preference`], [`locale`], [`webhook`], [`retry`] and [`circuit`] (external
//! delivery), [`account_link`] (e-mails that change an account), [`explain`] (why a user was
//! notified), [`words`] (how texts are cut and folded), [`search`], [`text`] (what a text may
//! consist of), [`plan`] (what a command writes).

pub mod account_link;
pub mod address;
pub mod channel;
pub mod circuit;
pub mod comment;
pub mod confusable;
pub mod delay;
pub mod delivery;
mod encodings;
pub mod escalation;
pub mod event;
pub mod explain;
pub mod fault;
pub mod idempotency;
pub mod ids;
pub mod inbox;
mod kind;
mod letters;
pub mod locale;
pub mod message_trace;
pub mod node;
pub mod notification;
pub mod plan;
pub mod preference;
pub mod presence;
pub mod retry;
pub mod routing;
pub mod search;
pub mod send;
pub mod stream;
pub mod text;
pub mod ticket;
pub mod user;
pub mod version;
pub mod webhook;
pub mod words;
