//! Ports that are the same for both stores: each statement once, each rule once.

mod accounts;
mod escalations;
mod keys;
mod nodes;
mod preferences;
mod projects;
mod push;
mod templates;
mod webhooks;
