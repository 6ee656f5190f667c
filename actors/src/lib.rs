//! Bellpull's actors.
//!
//! In reading order: [`directory`] (how the edges reach the actors), [`hub`] (the root of the
//! tree), [`supervisor`] (its branches), [`user`], [`ticket`] and [`project`] (its leaves),
//! [`sends`] and [`scheduler`] (one message to many); then what they share: [`messages`] (the
//! messages of user and project actors), [`limits`], `fan_out` (the fan-out barrier), [`vitals`]
//! (gauges), [`failures`] (budgets and back-off), [`write_rate`] (of an account's writes),
//! [`observe`] (reports for operators), [`vitals::message_log`] (the last messages of watched
//! actors). Their rules are in `bellpull_domain`, what they need from outside in `bellpull_port`.

pub mod broker;
pub mod channel;
pub mod directory;
pub mod failures;
mod fan_out;
pub mod hub;
pub mod limits;
mod marking;
pub mod messages;
pub mod observe;
pub mod project;
pub mod retention;
pub mod scheduler;
pub mod sends;
pub mod supervisor;
pub mod ticket;
pub mod user;
pub mod vitals;
pub mod write_rate;

pub use bellpull_domain as domain;
