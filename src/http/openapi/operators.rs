//! OpenAPI schemas: operators.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::{IntoParams, ToSchema};

use crate::choices::{circuit_state, slow_kind};

/// Whose events are returned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsOf {
    /// A node's name; by default all nodes.
    node: Option<String>,
}

/// How much of the tree is returned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TreeSize {
    /// How many children of each supervisor are listed: 50 by default, at most 10,000.
    #[param(minimum = 0)]
    children: Option<u64>,
    /// A node's name; by default all nodes.
    node: Option<String>,
}

/// Which entries of the slow log are returned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SlowOf {
    /// A node's name; by default the one that answers.
    node: Option<String>,
    /// By default all.
    #[param(schema_with = slow_kind)]
    kind: Option<String>,
    /// How many: 100 by default, at most 500.
    #[param(minimum = 0)]
    limit: Option<u64>,
}

/// A channel's circuit by hand.
#[derive(ToSchema)]
pub(crate) struct CircuitByHand {
    #[schema(schema_with = circuit_state)]
    state: String,
    /// For how many seconds it is opened; by default until it is closed.
    #[schema(minimum = 1, maximum = 604800)]
    for_s: Option<u32>,
}

/// For how long an actor is watched.
#[derive(ToSchema)]
pub(crate) struct WatchedFor {
    /// Seconds: 300 by default; 0 ends it.
    #[schema(maximum = 3600)]
    for_s: Option<u32>,
}

/// Which signals are returned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SignalsOf {
    /// A node's name; by default the one that answers.
    node: Option<String>,
    /// Only those after this time, in milliseconds since 1970.
    #[param(minimum = 0)]
    after: Option<i64>,
}
