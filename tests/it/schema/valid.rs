//! A validator of another make reads the document: strict generators of clients stop at what it
//! refuses.

use std::process::Command;

use super::document;
use crate::clients::tools;
use crate::support::skip::skipped;

#[test]
fn the_document_is_valid_openapi() {
    let program = tools().join("python/bin/openapi-spec-validator");
    if !program.exists() {
        return skipped("openapi-spec-validator is not installed (tests/run.sh does)");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    let validate = |document: &serde_json::Value| {
        std::fs::write(&file, document.to_string()).unwrap();
        let mut command = Command::new(&program);
        let output =
            command.args(["--schema", "3.1", "--validation-errors", "all"]).arg(&file).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut document = document();
    let (is_valid, said) = validate(&document);
    assert!(is_valid, "{said}");
    document["paths"]["/api/tickets/{id}/"]["get"]["parameters"][0]["required"] = false.into();
    assert!(!validate(&document).0, "it refuses what is wrong");
}
