//! Ports that are the same for both stores: each statement once, each rule once.

pub(super) mod account_links;
mod account_store;
pub(super) mod accounts;
mod audit;
mod comments;
mod delivery_log;
mod escalations;
mod explain;
mod keys;
pub(super) mod logins;
mod nodes;
pub(super) mod notifications;
mod preferences;
mod projects;
mod push;
pub(super) mod report;
mod retention;
mod send_log;
pub(super) mod settings;
mod templates;
mod ticket_lists;
mod tickets;
pub(super) mod user_lists;
mod webhooks;
