//! Ports that are the same for both stores: each statement once, each rule once.

mod audit;
mod comments;
mod delivery_log;
mod escalations;
mod explain;
mod keys;
pub(super) mod notifications;
pub(super) mod report;
mod retention;
mod send_log;
mod templates;
mod ticket_lists;
mod tickets;
pub(super) mod user_lists;
mod webhooks;
