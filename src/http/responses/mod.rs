//! The bodies of responses: for each one struct, which handlers build and the OpenAPI document
//! describes. Only the errors of fields are none: their keys are the fields of a body (see
//! [`super::error`]).
//!
//! They take their texts from the domain's values by move. Ids are plain numbers, and names of
//! enums plain texts, as clients see them. Handlers refer to this module as `res`.

mod accounts;
mod analytics;
mod audit;
mod channels;
mod deliveries;
mod escalations;
mod explain;
mod hooks;
mod notifications;
mod operators;
mod page;
mod preferences;
mod problems;
mod projects;
mod push;
mod scheduled;
mod templates;
mod tickets;
mod times;
mod webhooks;

pub(super) use self::accounts::*;
pub(super) use self::analytics::*;
pub(super) use self::audit::*;
pub(super) use self::channels::*;
pub(super) use self::deliveries::*;
pub(super) use self::escalations::*;
pub(super) use self::explain::*;
pub(super) use self::hooks::*;
pub(super) use self::notifications::*;
pub(super) use self::operators::*;
pub(super) use self::page::*;
pub(super) use self::preferences::*;
pub(super) use self::problems::*;
pub(super) use self::projects::*;
pub(super) use self::push::*;
pub(super) use self::scheduled::*;
pub(super) use self::templates::*;
pub(super) use self::tickets::*;
pub(super) use self::webhooks::*;
