//! Rules for all schemas.

use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{AdditionalProperties, Components, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

/// Optional fields of bodies may not be null: a body leaves them out, and answers have all their
/// fields.
pub(super) fn tighten(shape: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = shape else { return };
    for (name, property) in &mut object.properties {
        if !object.required.contains(name) {
            not_null(property);
        }
    }
}

/// Forbids other properties than those that are named.
pub(super) fn close(shape: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = shape else { return };
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
}

/// Removes null from optional fields.
fn not_null(shape: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = shape else { return };
    let SchemaType::Array(types) = &mut object.schema_type else { return };
    types.retain(|one| *one != Type::Null);
    if let [only] = types.as_slice() {
        object.schema_type = SchemaType::Type(only.clone());
    }
}

/// A missing body is an empty object: a body without required fields is optional.
pub(super) fn is_optional(body: &RequestBody, components: &Components) -> bool {
    let shape = body.content.values().find_map(|content| match content {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    });
    let Some(RefOr::Ref(shape)) = shape else { return false };
    let name = shape.ref_location.rsplit('/').next().unwrap_or_default();
    match components.schemas.get(name) {
        Some(RefOr::T(Schema::Object(object))) => object.required.is_empty(),
        _ => false,
    }
}
