//! OpenAPI schemas: errors.

use utoipa::PartialSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Schema};

use crate::responses::Problem;

const PROBLEM: &str = "Problem";
const FIELD_PROBLEMS: &str = "FieldProblems";

/// The shapes, by their names.
pub(super) fn schemas() -> [(String, RefOr<Schema>); 2] {
    [(PROBLEM.to_owned(), Problem::schema()), (FIELD_PROBLEMS.to_owned(), field_problems())]
}

fn field_problems() -> RefOr<Schema> {
    let texts = || ArrayBuilder::new().items(String::schema());
    // A field that is itself called `code` has its errors there.
    let code = AnyOfBuilder::new().item(String::schema()).item(texts());
    ObjectBuilder::new()
        .description(Some(
            "What is wrong with which field; `non_field_errors` is about the whole. `code` is \
             `invalid`.",
        ))
        .property("code", code)
        .required("code")
        .additional_properties(Some(texts()))
        .into()
}

/// The answer with a status that a layer around the handler returns.
pub(super) fn response(status: &str) -> Response {
    let description = match status {
        "400" => "The query or the body is invalid.",
        "401" => "Without a token, or with one that is not valid.",
        "404" => "There is no such thing, or the caller may not know of it.",
        "413" => "The body is larger than `http.max_body_bytes`.",
        "415" => "The body is not JSON.",
        "429" => {
            "Too many of the caller's requests are in progress, or the account writes faster than \
             `http.writes_per_s` allows."
        }
        "503" => "The hub cannot do it now; it may be tried again.",
        _ => "A mistake in the hub.",
    };
    ResponseBuilder::new().description(description).build()
}

/// Adds the body and the headers of an error's answer.
pub(super) fn complete(status: &str, response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem = status.starts_with(['4', '5']);
    if !is_problem || !response.content.is_empty() {
        return;
    }
    let schema: RefOr<Schema> = match status {
        "400" => {
            let of = |name| RefOr::<Schema>::Ref(Ref::from_schema_name(name));
            AnyOfBuilder::new().item(of(PROBLEM)).item(of(FIELD_PROBLEMS)).into()
        }
        _ => RefOr::Ref(Ref::from_schema_name(PROBLEM)),
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    response.content.insert("application/json".to_owned(), content.into());
    let header = match status {
        "401" => ("WWW-Authenticate", String::schema(), "`Bearer`"),
        "429" | "503" => ("Retry-After", u32::schema(), "When to come back, in seconds."),
        _ => return,
    };
    let (name, schema, description) = header;
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
    response.headers.insert(name.to_owned(), header.into());
}
