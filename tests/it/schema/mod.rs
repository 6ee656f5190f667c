//! The document of the REST interface, against the hub that it describes.

mod furnished;
mod played;
mod served;
mod valid;

use serde_json::Value;

/// The document, as the command line prints it.
fn document() -> Value {
    let (_folder, database) = crate::support::process::folder();
    let text = crate::support::process::run_ok(&database, &["openapi"]);
    assert!(!database.exists(), "a document needs no database");
    serde_json::from_str(&text).unwrap()
}

/// Its operations: path, method, and what is said of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((path.as_str(), method.as_str(), operation));
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}
