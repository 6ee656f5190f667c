//! Bellpull's actors, and how they are reached.
//!
//! In reading order: [`domain`] (types and rules, pure: a crate of its own), [`port`] (what the
//! outside must provide), [`session`] and [`directory`] (how the edges reach the actors), [`hub`]
//! (the root of the tree), [`supervisor`] (its branches), [`user`], [`ticket`] and [`project`]
//! (its leaves), [`sends`] and [`scheduler`] (one message to many); then what they share: [`call`]
//! (requests with a known outcome), [`messages`] (the messages of user and project actors),
//! [`limits`], [`fan_out`] (the fan-out barrier), [`vitals`] (gauges), [`failures`] (budgets and
//! back-off), [`rate`] (rate limits), [`shared_rate`] (those of all nodes together),
//! [`write_rate`] (of an account's writes), [`turns`] (one at a time per key), [`shares`] (places
//! that keys share by time), [`budget`] (bytes that clients have not read), [`observe`] (reports
//! for operators), [`slow`] (the slow log), [`epoch`] (which history of a store this is),
//! [`vitals::message_log`] (the last messages of watched actors).

pub mod agent;
pub mod broker;
pub mod budget;
pub mod call;
pub mod channel;
pub mod directory;
pub mod epoch;
pub mod failures;
mod fan_out;
pub mod hub;
pub mod limits;
mod marking;
pub mod messages;
pub mod observe;
pub mod port;
pub mod project;
pub mod rate;
pub mod retention;
pub mod scheduler;
pub mod sends;
pub mod session;
pub mod shared_rate;
pub mod shares;
pub mod slow;
pub mod supervisor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod ticket;
pub mod trace;
pub mod turns;
pub mod user;
pub mod vitals;
pub mod write_rate;

pub use bellpull_domain as domain;
