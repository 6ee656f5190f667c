//! The fuzzers' harness of templates: within the limits, and equal to minijinja's own rendering.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken invariant panics, as in a test")]

use std::time::Instant;

use bellpull_port::templates::Source;
use minijinja::{Environment, Error};
use serde_json::json;

use super::budget::TIME_MAX;
use super::{OUTPUT_MAX, Parsed, SUBJECT_MAX, View, parse, part};

/// How much longer than its limit a part may take: a step on a busy machine, instrumented.
const SLACK: u32 = 20;

/// The source of a text and of an HTML part.
pub fn templates(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let view = view();
    let began = Instant::now();
    for name in ["text", "html"] {
        let Ok(tree) = parse(name, text) else { continue };
        let Ok(ours) = part(name, &tree, &view) else { continue };
        assert!(ours.len() <= OUTPUT_MAX, "{} bytes", ours.len());
        // Steps and bytes were bounded, so minijinja's rendering ends too.
        match by_minijinja(name, text, &view) {
            Ok(theirs) => assert_eq!(ours, theirs, "{name}"),
            Err(error) => panic!("{name} is rendered here, but there: {error:#}"),
        }
    }
    let [subject, text, html] = [text, text, text].map(str::to_owned);
    if let Ok(parsed) = Parsed::of(&Source { subject, text, html })
        && let Ok(rendered) = parsed.render(&view)
    {
        assert!(!rendered.subject.contains(char::is_control), "{:?}", rendered.subject);
        assert!(rendered.subject.chars().count() <= SUBJECT_MAX);
    }
    let took = began.elapsed();
    assert!(took < TIME_MAX * SLACK, "{took:?}");
}

fn view() -> View {
    View(json!({
        "event": "ticket_created", "title": "A title", "body": "<b> & \"more\"\nand 'more'/",
        "priority": "High", "name": "Ada Lövelace", "link": "https://desk.example/x?a=1&b=2",
        "unsubscribe": null,
        "ticket": {"key": "WEB-5", "title": "Slow", "status": "New", "project": "Main"},
        "data": {"n": 3, "f": 1.5, "yes": true, "tags": ["b", "<a>", "b"],
            "list": [{"x": "two"}, {"x": "One"}]},
    }))
}

fn by_minijinja(part: &str, text: &str, View(view): &View) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_keep_trailing_newline(true);
    let name = if part == "html" { "x.html" } else { "x.txt" };
    environment.render_named_str(name, text, view)
}
