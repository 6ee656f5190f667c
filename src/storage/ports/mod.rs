//! Ports that are the same for both stores: each statement once, each rule once.

mod escalations;
mod keys;
mod templates;
mod webhooks;
