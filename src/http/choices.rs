//! The names that enum-like fields may have, as OpenAPI schemas: for responses, bodies and queries.

use bellpull_domain::notification::{DeliveryStatus, Kind};
use bellpull_domain::routing::Channel;
use bellpull_domain::ticket::{Category, Priority, Status};
use bellpull_port::slow::SlowKind;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// One of these names.
pub(super) fn one_of(names: impl IntoIterator<Item = &'static str>) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

pub(super) fn channel() -> Schema {
    one_of(Channel::ALL.iter().map(|channel| channel.as_str()))
}

pub(super) fn circuit_state() -> Schema {
    one_of(["open", "closed"])
}

pub(super) fn slow_kind() -> Schema {
    one_of(SlowKind::ALL.map(SlowKind::as_str))
}

pub(super) fn channels() -> Schema {
    ArrayBuilder::new().items(RefOr::T(channel())).into()
}

pub(super) fn kind() -> Schema {
    one_of(Kind::ALL.iter().map(|kind| kind.as_str()))
}

pub(super) fn delivery_status() -> Schema {
    one_of(DeliveryStatus::ALL.map(DeliveryStatus::as_str))
}

pub(super) fn priority() -> Schema {
    one_of(Priority::ALL.iter().map(|priority| priority.as_str()))
}

pub(super) fn category() -> Schema {
    one_of(Category::ALL.iter().map(|category| category.as_str()))
}

pub(super) fn ticket_status() -> Schema {
    one_of(Status::ALL.iter().map(|status| status.as_str()))
}
