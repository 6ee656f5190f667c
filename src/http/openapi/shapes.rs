//! What holds for all shapes.

use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{ObjectBuilder, OneOf, SchemaType, Type};
use utoipa::openapi::{RefOr, Required, Schema};

/// One of these names.
pub(super) fn one_of(names: impl IntoIterator<Item = &'static str>) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

/// What may be left out may not be null: bodies say "no" by not naming a field, and answers have
/// all their fields.
pub(super) fn tighten(shape: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = shape else { return };
    for (name, property) in &mut object.properties {
        if !object.required.contains(name) {
            not_null(property);
        }
    }
}

/// A body that may be left out may not be null either.
pub(super) fn optional(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if content.schema.as_mut().is_some_and(not_null) {
            body.required = Some(Required::False);
        }
    }
}

/// Takes null away; whether it was allowed.
fn not_null(shape: &mut RefOr<Schema>) -> bool {
    match shape {
        RefOr::T(Schema::Object(object)) => {
            let SchemaType::Array(types) = &mut object.schema_type else { return false };
            types.retain(|one| *one != Type::Null);
            if let [only] = types.as_slice() {
                object.schema_type = SchemaType::Type(only.clone());
            }
            true
        }
        RefOr::T(Schema::OneOf(OneOf { items, .. })) => {
            items.retain(|item| !is_null(item));
            let [_] = items.as_slice() else { return false };
            *shape = items.remove(0);
            true
        }
        _ => false,
    }
}

fn is_null(shape: &RefOr<Schema>) -> bool {
    let RefOr::T(Schema::Object(object)) = shape else { return false };
    object.schema_type == SchemaType::Type(Type::Null)
}
