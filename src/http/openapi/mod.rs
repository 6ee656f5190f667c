//! `/api/schema/`: the REST interface as an OpenAPI document.
//!
//! The paths come from the list that builds the router ([`super::routes`]), each operation from its
//! handler's annotation. The answers of the layers around a handler are added here: an operation
//! that needs a token can answer 401, one with a body 413. The schemas of responses are those of
//! the structs that handlers return ([`super::responses`]). Bodies and queries are read field by
//! field; their schemas are here, in one file per subject, and tests compare them with a running
//! hub.

mod accounts;
mod analytics;
mod audit;
mod deliveries;
mod escalations;
mod explain;
mod hooks;
mod inboxes;
mod operators;
mod preferences;
mod problems;
mod projects;
mod push;
mod sends;
mod shapes;
mod templates;
mod tickets;
mod webhooks;

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, Paths};
use utoipa::openapi::schema::Components;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Required};
use utoipa::{IntoParams, IntoResponses};
use utoipa_axum::routes;

pub(super) use self::accounts::*;
pub(super) use self::analytics::*;
pub(super) use self::audit::*;
pub(super) use self::deliveries::*;
pub(super) use self::escalations::*;
pub(super) use self::explain::*;
pub(super) use self::hooks::*;
pub(super) use self::inboxes::*;
pub(super) use self::operators::*;
pub(super) use self::preferences::*;
pub(super) use self::projects::*;
pub(super) use self::push::*;
pub(super) use self::sends::*;
pub(super) use self::templates::*;
pub(super) use self::tickets::*;
pub(super) use self::webhooks::*;
use super::routes::Routes;

const DESCRIPTION: &str = "\
A ticket changes, and everyone involved is notified immediately.

JSON in, JSON out, by Django REST framework's conventions. Paths end in `/`; they are served \
without it too, and a last word with `_` also with `-` (`mark_as_read`, `mark-as-read`). What goes \
wrong is `{\"detail\",\"code\"}`, or for fields `{\"title\":[\"…\"],\"code\":\"invalid\"}`. What the \
caller may not see is not there: 404. Times are RFC 3339 in UTC.

The sockets are described by AsyncAPI (`bellpull asyncapi`).";

/// The name of the only authentication scheme.
const BEARER: &str = "bearer";

/// The bodies in which unknown fields are refused (see [`super::body::Strict`]).
const STRICT: [&str; 13] = [
    "NewUser",
    "UserEdit",
    "UserState",
    "PreferenceChanges",
    "NewTemplate",
    "TemplateChanges",
    "NewEscalation",
    "NewWebhook",
    "WebhookChanges",
    "NewProject",
    "NewMember",
    "NewSend",
    "MarkSelection",
];

/// The writes that are not limited: an account over its limit must be able to log out.
const UNLIMITED: [&str; 1] = ["/api/auth/logout/"];

/// The page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document alone reads the fields")]
pub(super) struct Paged {
    /// From 1; a page past the end is a 404, and so is one that begins 100,000 rows or more from
    /// the list's beginning.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// Rows per page: 20 by default, at most 100.
    #[param(minimum = 1)]
    page_size: Option<u32>,
}

/// The errors of a list.
#[derive(IntoResponses)]
#[response(
    status = 429,
    description = "Too many lists and searches of the caller wait: one is read at a time."
)]
pub(super) struct TooManyReads;

/// The resource.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the document alone reads the fields")]
pub(super) struct Id {
    #[param(minimum = 1)]
    id: i64,
}

/// The route of the document itself.
pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(schema))
}

/// This document.
#[utoipa::path(get, path = "/api/schema/", tag = "Operator", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn schema() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(super::document);
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The whole document over these routes.
pub(super) fn document(routes: Routes) -> OpenApi {
    let mut components = Components::new();
    components.schemas.extend(routes.schemas);
    accounts::add_addresses(&mut components.schemas);
    components.schemas.values_mut().for_each(shapes::tighten);
    for name in STRICT {
        components.schemas.get_mut(name).into_iter().for_each(shapes::close);
    }
    components.schemas.extend(problems::schemas());
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert(BEARER.to_owned(), bearer.into());
    let mut paths = routes.paths;
    for item in paths.paths.values_mut() {
        let readers = [&mut item.get, &mut item.head];
        let methods = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let all = readers.into_iter().chain(methods).flatten();
        all.for_each(|one| complete(one, &components));
    }
    limit_writes(&mut paths);
    let info = InfoBuilder::new()
        .title("Bellpull")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, [String; 0], String>(BEARER, [])]))
        .build()
}

/// Adds the answer to an account that writes too fast to all limited operations.
fn limit_writes(paths: &mut Paths) {
    let limited = paths.paths.iter_mut().filter(|(path, _)| !UNLIMITED.contains(&path.as_str()));
    for (_, item) in limited {
        let writers = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in writers.into_iter().flatten().filter(|one| one.security.is_none()) {
            let answer = operation.responses.responses.entry("429".to_owned());
            let answer = answer.or_insert_with(|| problems::response("429").into());
            problems::complete("429", answer);
        }
    }
}

/// Adds what is the same for all: an operation id, and the answers of the layers around the
/// handler.
fn complete(operation: &mut Operation, components: &Components) {
    let tag = operation.tags.iter().flatten().next().map(|tag| tag.to_lowercase());
    if let (Some(tag), Some(handler)) = (tag, &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{handler}"));
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(one) = parameter
            && one.parameter_in == ParameterIn::Path
        {
            // One whose schema is a function's is taken for an optional one.
            one.required = Required::True;
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && shapes::is_optional(body, components)
    {
        body.required = Some(Required::False);
    }
    let has = |place: ParameterIn| {
        let parameters = operation.parameters.iter().flatten();
        parameters.clone().any(|one| is_in(one, &place))
    };
    let (has_path, has_query) = (has(ParameterIn::Path), has(ParameterIn::Query));
    let is_paged = operation.parameters.iter().flatten().any(|one| is_named(one, "page"));
    let has_body = operation.request_body.is_some();
    let mut statuses = vec!["500", "503"];
    if operation.security.is_none() {
        statuses.extend(["401", "429"]);
    }
    if has_path || is_paged {
        statuses.push("404");
    }
    if has_query || has_body {
        statuses.push("400");
    }
    if has_body {
        statuses.extend(["413", "415"]);
    }
    for status in statuses {
        let missing = operation.responses.responses.entry(status.to_owned());
        missing.or_insert_with(|| problems::response(status).into());
    }
    if operation.parameters.iter().flatten().any(|one| is_named(one, "Idempotency-Key")) {
        sends::replay(&mut operation.responses);
    }
    // An error status that a handler names has the same schema everywhere.
    for (status, response) in &mut operation.responses.responses {
        problems::complete(status, response);
    }
}

fn is_in(parameter: &RefOr<Parameter>, place: &ParameterIn) -> bool {
    matches!(parameter, RefOr::T(one) if one.parameter_in == *place)
}

fn is_named(parameter: &RefOr<Parameter>, name: &str) -> bool {
    matches!(parameter, RefOr::T(one) if one.name == name)
}
