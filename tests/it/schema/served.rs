//! What is documented is served, what is served is documented.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use super::{document, operations};
use crate::support::Hub;

/// Every `$ref` below.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").map(|to| to.as_str().unwrap().to_owned()));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_hub_serves_the_document_that_the_command_prints() {
    let hub = Hub::start().await;
    let response = hub.request(Method::GET, "/api/schema/").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let served: Value = response.json().await.unwrap();
    assert_eq!(served, document());
    hub.stop().await;
}

#[test]
fn every_operation_has_a_name_of_its_own_a_subject_and_words() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        assert!(operation["tags"][0].is_string(), "{method} {path} has no subject");
        let words = operation["summary"].as_str().unwrap_or_default();
        assert!(words.ends_with('.') || words.ends_with(')'), "{method} {path}: {words:?}");
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// The router itself says which methods a path has. That no path is served that the document does
/// not know is kept by the house rules: routes are made in one place, from the document.
#[tokio::test]
async fn each_path_has_the_documented_methods_and_no_others() {
    let hub = Hub::start().await;
    let document = document();
    let mut methods: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, method, _) in operations(&document) {
        methods.entry(path).or_default().insert(method.to_uppercase());
    }
    for (path, mut wanted) in methods {
        if wanted.contains("GET") {
            wanted.insert("HEAD".to_owned());
        }
        let filled =
            path.replace("{path}", "users/0").replace(['{', '}'], "").replace("/id/", "/7/");
        let other = if filled.contains('_') { ('_', "-") } else { ('-', "_") };
        let (before, last) = filled.trim_end_matches('/').rsplit_once('/').unwrap();
        let respelled = format!("{before}/{}/", last.replace(other.0, other.1));
        let bare = filled.trim_end_matches('/').to_owned();
        for spelling in [filled, respelled, bare] {
            let request = hub.request(Method::TRACE, &spelling).send().await.unwrap();
            assert_eq!(request.status(), 405, "{spelling}");
            let allowed = request.headers()["allow"].to_str().unwrap();
            let allowed: BTreeSet<String> = allowed.split(',').map(str::to_owned).collect();
            assert_eq!(allowed, wanted, "{spelling}");
        }
    }
    hub.stop().await;
}
