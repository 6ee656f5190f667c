//! Ports that are the same for both stores: each statement once, each rule once.

pub(super) mod account_links;
pub(super) mod accounts;
mod escalations;
mod keys;
pub(super) mod logins;
mod nodes;
mod preferences;
mod projects;
mod push;
pub(super) mod settings;
mod templates;
mod webhooks;
