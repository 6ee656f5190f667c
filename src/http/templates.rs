//! `/api/templates/`: the message templates by event, channel and language, for admins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use bellpull_domain::channel::{Channel, TemplateSpec};
use bellpull_domain::event::Event;
use bellpull_domain::locale::Locale;
use bellpull_domain::user::Role;
use bellpull_domain::version::Version;
use bellpull_port::Clock;
use bellpull_port::templates::{PutTemplate, Source, TEMPLATES_MAX, TemplateKey, WrittenTemplate};
use serde_json::Value;
use utoipa_axum::routes;

use super::body::Strict;
use super::error::{ApiError, FieldErrors};
use super::fields::{Fields, TextRule, not_a_choice};
use super::openapi as doc;
use super::page::Paging;
use super::query::EVENT_MAX;
use super::query::Params;
use super::responses as res;
use super::routes::Routes;
use super::who::Admin;
use bellpull_auth::Principal;
use bellpull_delivery::defaults::{DIGEST, is_of_accounts};
use bellpull_delivery::template::{BadTemplate, SOURCE_MAX};
use bellpull_delivery::template_service::{Found, TemplateService, Wrong};

pub(super) fn routes() -> Routes {
    Routes::default().with(routes!(list)).with(routes!(read, write, forget)).with(routes!(preview))
}

/// What an answer contains beside the parts: from the path, or computed by the hub.
const READ_ONLY: [&str; 8] = [
    "event",
    "channel",
    "locale",
    "version",
    "is_default",
    "from_locale",
    "updated_at",
    "updated_by",
];

/// The path: an event, a channel and a language.
struct Key(TemplateKey);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        let Path((event, channel, locale)) = found.map_err(|_| ApiError::NotFound)?;
        let mut errors = FieldErrors::default();
        if !is_event(&event) {
            let text = format!("An event's name has 1 to {EVENT_MAX} visible characters.");
            errors.add("event", text);
        }
        let channel = of_name(&channel).map_err(|why| errors.add("channel", why)).ok();
        if is_of_accounts(&event) && channel.is_some_and(|channel| channel != Channel::Email) {
            errors.add("channel", "Accounts have e-mails only.");
        }
        if event == DIGEST && channel.is_some_and(|channel| channel != Channel::Email) {
            errors.add("channel", "Only e-mails are gathered.");
        }
        let locale: Option<Locale> =
            locale.parse().map_err(|why| errors.add("locale", format!("{why}"))).ok();
        match (channel, locale) {
            (Some(channel), Some(locale)) if errors.is_empty() => {
                Ok(Self(TemplateKey { event, channel, locale }))
            }
            _ => Err(ApiError::Fields(errors)),
        }
    }
}

fn is_event(name: &str) -> bool {
    (1..=EVENT_MAX).contains(&name.chars().count())
        && name.trim() == name
        && !name.contains(char::is_control)
}

fn of_name(name: &str) -> Result<Channel, String> {
    let channel = Channel::from_name(name).filter(|one| one.spec().template.is_some());
    channel.ok_or_else(|| not_a_choice(&Value::from(name)))
}

/// A row of the list: the template of an event on a channel.
struct Said {
    event: String,
    channel: Channel,
    locales: BTreeSet<Locale>,
}

/// The templates of every event on every channel, and the languages that admins have written them
/// in. The others are defaults.
#[utoipa::path(
    get, path = "/api/templates/", tag = "Templates",
    params(doc::TemplateFilters, doc::Paged),
    responses(
        (status = 200, description = "A page of them.", body = res::Page<res::TemplateSummary>),
        (status = 403, description = "For admins."),
    )
)]
async fn list(
    State(handles): State<TemplateService>,
    _: Admin,
    paging: Paging,
    mut params: Params,
) -> Result<Response, ApiError> {
    let event = params.bounded("event", EVENT_MAX);
    let channel = params.choice("channel", |name| of_name(name).ok());
    params.finish()?;
    let all = all_of(&handles.templates().written());
    let is_asked_for = |one: &Said| {
        event.as_ref().is_none_or(|event| one.event == *event)
            && channel.is_none_or(|channel| one.channel == channel)
    };
    let rows: Vec<Said> = all.into_iter().filter(is_asked_for).collect();
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let (offset, size) = (paging.request().offset(), paging.request().page_size);
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let rows = rows.into_iter().skip(skipped).take(size).collect();
    paging.show(bellpull_port::Page { count, rows }, res::TemplateSummary::from).await
}

/// The hub's own events in their order, then mails about accounts, then digests, then senders'
/// events.
fn all_of(written: &[TemplateKey]) -> Vec<Said> {
    let mut locales: BTreeMap<(&str, Channel), BTreeSet<Locale>> = BTreeMap::new();
    for key in written {
        locales.entry((&key.event, key.channel)).or_default().insert(key.locale.clone());
    }
    let own: Vec<&str> = Event::OWN.iter().map(Event::as_str).collect();
    let mut pairs: Vec<(&str, Channel)> = own
        .iter()
        .flat_map(|event| Channel::templated().map(|(channel, _)| (*event, channel)))
        .collect();
    pairs.extend(Event::OF_ACCOUNTS.iter().map(|event| (event.as_str(), Channel::Email)));
    pairs.push((DIGEST, Channel::Email));
    let is_own = |event: &str| own.contains(&event) || is_of_accounts(event) || event == DIGEST;
    let others = locales.keys().filter(|(event, _)| !is_own(event));
    pairs.extend(others);
    let said = |(event, channel): (&str, Channel)| Said {
        event: event.to_owned(),
        channel,
        locales: locales.get(&(event, channel)).cloned().unwrap_or_default(),
    };
    pairs.into_iter().map(said).collect()
}

impl From<Said> for res::TemplateSummary {
    fn from(said: Said) -> Self {
        Self {
            event_display: display(&said.event),
            event: said.event,
            channel: said.channel.as_str(),
            channel_display: said.channel.display(),
            is_default: said.locales.is_empty(),
            locales: said.locales.into_iter().collect(),
        }
    }
}

/// An event's title, or its name if it has none.
fn display(event: &str) -> String {
    let shown = match Event::from_name(event).title() {
        "" if event == DIGEST => "Digest",
        "" => event,
        title => title,
    };
    shown.to_owned()
}

/// The template in effect: the one written in this language, or in the nearest one, or the default.
#[utoipa::path(
    get, path = "/api/templates/{event}/{channel}/{locale}/", tag = "Templates",
    params(doc::TemplatePlace),
    responses(
        (status = 200, description = "The template.", body = res::Template),
        (status = 400, description = "No such channel or language."),
        (status = 403, description = "For admins."),
    )
)]
async fn read(
    State(handles): State<TemplateService>,
    _: Admin,
    Key(key): Key,
) -> Json<res::Template> {
    let found = handles.templates().find(&key.event, key.channel, &key.locale);
    Json(res::Template::new(key, &found))
}

/// Saves a template after rendering it with sample data: its syntax is valid, its variables are
/// known, and its output is not empty.
#[utoipa::path(
    put, path = "/api/templates/{event}/{channel}/{locale}/", tag = "Templates",
    params(doc::TemplatePlace), request_body = doc::NewTemplate,
    responses(
        (status = 200, description = "It took the place of another.", body = res::Template),
        (status = 201, description = "It is new.", body = res::Template),
        (status = 403, description = "For admins."),
        (status = 409, description = "Another request changed it first."),
    )
)]
async fn write(
    State(handles): State<TemplateService>,
    State(clock): State<Arc<dyn Clock>>,
    Admin(principal): Admin,
    Key(key): Key,
    Strict(mut body): Strict,
) -> Result<(StatusCode, Json<res::Template>), ApiError> {
    body.require("text");
    let template = key.channel.spec().template.as_ref();
    let mut title = "";
    if template.is_some_and(|template| template.is_subject_required) {
        body.require("subject");
    } else if template.is_some_and(TemplateSpec::has_subject) {
        title = "{{ title }}";
    }
    let start = Source { subject: title.to_owned(), ..Source::default() };
    handles.see().await;
    let before = handles.templates().find(&key.event, key.channel, &key.locale);
    let shown = res::Template::new(key.clone(), &before);
    let seen = body.seen(shown.version())?;
    let source = source(&mut body, start, &shown)?;
    check_rights(&principal, &key)?;
    let proved = handles.prove(&key.event, key.channel, source.clone()).await;
    proved.map_err(refused)?;
    let template = WrittenTemplate {
        key,
        source,
        updated_at: Version::next(seen, clock.now()),
        updated_by: (!principal.is_service).then_some(principal.user.id),
    };
    let shown = Found::Written(Arc::new(template.clone()));
    let answer = Json(res::Template::new(template.key.clone(), &shown));
    match handles.put(template, seen).await? {
        PutTemplate::Created => Ok((StatusCode::CREATED, answer)),
        PutTemplate::Replaced => Ok((StatusCode::OK, answer)),
        PutTemplate::TooMany => {
            let text = format!("Ensure there are no more than {TEMPLATES_MAX} templates.");
            Err(ApiError::field("non_field_errors", text))
        }
    }
}

/// Deletes a template: the nearest language or the default takes effect again.
#[utoipa::path(
    delete, path = "/api/templates/{event}/{channel}/{locale}/", tag = "Templates",
    params(doc::TemplatePlace),
    responses(
        (status = 204, description = "It is gone."),
        (status = 400, description = "No such channel or language."),
        (status = 403, description = "For admins."),
    )
)]
async fn forget(
    State(handles): State<TemplateService>,
    Admin(principal): Admin,
    Key(key): Key,
) -> Result<StatusCode, ApiError> {
    check_rights(&principal, &key)?;
    match handles.delete(key).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound),
    }
}

/// Renders a preview with sample data: the given parts, and the rest as saved. Nothing is saved.
#[utoipa::path(
    post, path = "/api/templates/{event}/{channel}/{locale}/preview/", tag = "Templates",
    params(doc::TemplatePlace), request_body = doc::TemplateChanges,
    responses(
        (status = 200, description = "What a recipient would read.", body = res::TemplatePreview),
        (status = 403, description = "For admins."),
    )
)]
async fn preview(
    State(handles): State<TemplateService>,
    _: Admin,
    Key(key): Key,
    Strict(mut body): Strict,
) -> Result<Json<res::TemplatePreview>, ApiError> {
    let found = handles.templates().find(&key.event, key.channel, &key.locale);
    let shown = res::Template::new(key.clone(), &found);
    let source = source(&mut body, found.source().clone(), &shown)?;
    let rendered = handles.prove(&key.event, key.channel, source).await.map_err(refused)?;
    Ok(Json(rendered.into()))
}

/// The template of an account mail receives a link that opens the account, and could send it
/// elsewhere: a caller who may not manage admins may not write it.
fn check_rights(principal: &Principal, key: &TemplateKey) -> Result<(), ApiError> {
    if is_of_accounts(&key.event) && principal.user.role != Role::SuperAdmin {
        let text = "Only a super admin may change what mails about accounts say.";
        return Err(ApiError::Forbidden(text.to_owned()));
    }
    Ok(())
}

/// The parts in a body, replacing those before.
fn source(body: &mut Fields, before: Source, shown: &res::Template) -> Result<Source, ApiError> {
    let mut part = |name: &'static str, before: String| {
        body.text_if_sent(name, TextRule::prose(SOURCE_MAX)).unwrap_or(before)
    };
    let source = Source {
        subject: part("subject", before.subject),
        text: part("text", before.text),
        html: part("html", before.html),
    };
    body.read_only(&READ_ONLY, shown);
    body.finish()?;
    Ok(source)
}

/// Each part with its errors.
fn refused(Wrong(wrong): Wrong) -> ApiError {
    let mut errors = FieldErrors::default();
    for BadTemplate { part, problem } in wrong {
        errors.add(part, problem);
    }
    ApiError::Fields(errors)
}
