//! OpenAPI schemas: external deliveries.
#![expect(dead_code, reason = "the schemas alone read the fields")]

use utoipa::IntoParams;

use crate::choices::{channel, delivery_status};

/// Filters of the list of deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryFilters {
    #[param(schema_with = delivery_status)]
    status: Option<String>,
    #[param(schema_with = channel)]
    channel: Option<String>,
}
