//! The fuzzers' harnesses of requests: bodies and queries within their bounds, and errors that are
//! the client's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Request, Uri};
use axum::response::IntoResponse;
use bellpull_domain::address::Addresses;
use bellpull_domain::ids::UserId;
use bellpull_domain::node::NodeName;
use bellpull_domain::send::{Recipients, is_good_link};
use bellpull_domain::user::{Origin, Role, User};
use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::Value;

use super::error::{ApiError, ROWS_MAX};
use super::fields::Fields;
use super::notifications::narrow;
use super::page::{LinkBase, NewestFirst, Paging};
use super::query::Params;
use super::sends::new_send;
use super::strict_json;
use super::tickets::search;
use super::tree_events::position;
use bellpull_auth::Principal;
use bellpull_wire::{Dialect, Wish};

/// A body, against serde_json's reading of it.
pub fn json(bytes: &[u8]) {
    let reference = serde_json::from_slice::<Value>(bytes);
    match (strict_json::parse(bytes), reference) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Ok(ours), Err(error)) => panic!("{ours} of what is no JSON: {error}"),
        (Err(error), Ok(_)) => {
            let is_ours = error.starts_with("duplicate key") || error.contains("nested deeper");
            assert!(is_ours && error.len() < 512, "{error}");
        }
        (Err(error), Err(_)) => assert!(error.len() < 512, "{error}"),
    }
}

/// The body of a send.
pub fn sends(bytes: &[u8]) {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let parsed = Fields::parse(&headers, bytes).map(Fields::strict);
    let new = match parsed.and_then(|mut fields| new_send(&mut fields, &principal(), now)) {
        Ok(new) => new,
        Err(error) => return refused(error, bytes.len()),
    };
    let message = &new.message;
    let is_line = |text: &str| !text.contains(char::is_control);
    assert!(is_line(&message.title) && message.title.chars().count() <= 255, "{message:?}");
    assert!(!message.body.contains('\0') && message.body.chars().count() <= 10_000);
    assert!(is_line(message.event.as_str()) && message.event.as_str().chars().count() <= 64);
    assert!(is_good_link(&message.action_url) && message.action_url.len() <= 8_000);
    assert!(serde_json::to_string(&message.metadata).unwrap().len() <= 16 * 1024);
    assert!(new.due_at.is_none_or(|at| at > now), "{:?}", new.due_at);
    if let Recipients::Users(users) = &new.recipients {
        assert!((1..=10_000).contains(&users.len()), "{} recipients", users.len());
    }
}

fn principal() -> Principal {
    let user = User {
        id: UserId(1),
        username: "ada".into(),
        full_name: "".into(),
        role: Role::Admin,
        addresses: Addresses::default(),
        is_active: true,
        is_email_verified: true,
        created_at: Timestamp::UNIX_EPOCH,
        origin: Origin::Hub,
        tokens_from: Timestamp::UNIX_EPOCH,
    };
    let expires_at = Timestamp::MAX;
    Principal { user: Arc::new(user), login: None, expires_at, is_service: false }
}

/// An error is the client's, and says little more than the client said.
fn refused(error: ApiError, given: usize) {
    let text = format!("{error:?}");
    let answer = error.into_response();
    assert!(answer.status().is_client_error(), "{text}");
    let length = axum::body::HttpBody::size_hint(answer.body()).upper().unwrap();
    let length = usize::try_from(length).unwrap();
    assert!(length <= 4_096 + 8 * given, "{length} bytes to {given}: {text}");
}

/// The query of a list, and the positions that clients resume from.
pub fn queries(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        positions(text);
    }
    let uri = [b"/api/list/?", bytes].concat();
    let Ok(uri) = Uri::try_from(uri) else { return };
    let (mut parts, ()) = Request::get(uri.clone()).body(()).unwrap().into_parts();
    let Ok(mut params) = Params::from_request_parts(&mut parts, &()).now_or_never().unwrap();
    let query = uri.query().unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    for (name, _) in &pairs {
        let last = pairs.iter().rev().find(|(found, _)| found == name);
        let wanted = last.map(|(_, value)| value.trim()).filter(|value| !value.is_empty());
        assert_eq!(params.text(name), wanted, "{name}");
    }
    let filter = narrow(&mut params);
    assert!(filter.since_seq.is_none_or(|seq| seq.0 >= 0));
    let words = search(&mut params).map_or(0, |search| search.terms().len());
    assert!(words <= 16, "{words} terms");
    let _ = (params.boolean("is_read"), params.natural("limit"));
    if let Err(error) = params.finish() {
        refused(error, bytes.len());
    }
    let base = LinkBase::default();
    let newest = NewestFirst::from_request_parts(&mut parts, &base).now_or_never().unwrap();
    match (Paging::from_request_parts(&mut parts, &base).now_or_never().unwrap(), newest) {
        (Ok(paging), Ok(NewestFirst(newest))) => {
            assert_eq!(paging.request(), newest.request());
            let request = paging.request();
            assert!(request.page >= 1 && (1..=100).contains(&request.page_size), "{request:?}");
            assert!(request.offset() < ROWS_MAX, "{request:?}");
            let link: Uri = paging.link(request.page + 1).parse().unwrap();
            let (mut next, ()) = Request::get(link).body(()).unwrap().into_parts();
            let next = Paging::from_request_parts(&mut next, &base).now_or_never().unwrap();
            if let Ok(next) = next {
                assert_eq!(next.request().page, request.page + 1);
                assert_eq!(next.request().page_size, request.page_size);
            }
        }
        (Ok(_), Err(error)) => panic!("{error:?} of what another list takes"),
        (Err(error), _) => refused(error, bytes.len()),
    }
}

/// Where a session or a stream goes on.
fn positions(text: &str) {
    let own = NodeName::parse("web-1").unwrap();
    let written = position(text, &own);
    assert_eq!(position(&written, &own), written, "a position is read as it was written");
    for dialect in Dialect::ALL {
        let wish = Wish { since: Some(text), epoch: Some("e1"), replay: None };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_taken = is_number && text.parse::<i64>().is_ok();
        assert_eq!(wish.feed(dialect, "e1").is_ok(), is_taken, "{text}");
    }
}
