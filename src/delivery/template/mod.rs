//! One template: how it is rendered, and its variables.
//!
//! A template has a subject, a text and, for e-mail, an HTML part in which every value is escaped.
//! Its variables are `title`, `body`, `event`, `priority`, `name` (the recipient's), `link`,
//! `unsubscribe`, `ticket` (`key`, `title`, `status`, `priority`, `project`), `data` (the sender's
//! own), and for a digest `items`, each with `title`, `body`, `link`.
//!
//! Templates are edited by admins, not by programmers: no template can exceed its limits on memory
//! and time, whatever its source and its values, and no value can inject a header into a subject.
//! In reading order: [`tree`] (what a template is), [`lower`] (from its source), [`run`] (to its
//! output) with [`values`], [`filters`] and [`budget`] (the limits).

mod budget;
mod cost;
mod filters;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod lower;
mod run;
#[cfg(test)]
mod tests;
mod tree;
mod values;

use std::time::Instant;

use bellpull_domain::notification::Message;
use bellpull_port::templates::Source;
use serde_json::{Value, json};

use self::budget::{Budget, TIME_MAX};
use self::run::Run;
pub(super) use self::tree::Tree;

/// The length of each part of a template, in characters.
pub const SOURCE_MAX: usize = 20_000;
/// The size of a rendered part, in bytes: an e-mail that phones still open.
const OUTPUT_MAX: usize = 256 * 1024;
/// The length of a rendered subject, in characters: mail clients cut longer ones.
const SUBJECT_MAX: usize = 255;

/// A rendered message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line without control characters: no value can inject a header.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML part, where there is one.
    pub html: Option<String>,
    /// Whether an admin wrote the template; then the text is sent exactly as rendered.
    pub is_written: bool,
}

/// A problem of a template: the part, the line, and a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {problem}")]
pub struct BadTemplate {
    /// `subject`, `text` or `html`.
    pub part: &'static str,
    /// A text for the admin.
    pub problem: String,
}

/// The variables of a template.
#[derive(Debug, Clone)]
pub struct View(pub(super) Value);

impl View {
    /// The variables for one message to a recipient of that name.
    #[must_use]
    pub fn of(
        message: &Message,
        name: &str,
        link: Option<&str>,
        unsubscribe: Option<&str>,
    ) -> Self {
        let ticket = message.ticket.as_ref().map(|ticket| {
            json!({
                "key": ticket.key,
                "title": ticket.title,
                "status": ticket.status.display(),
                "priority": ticket.priority.display(),
                "project": ticket.project_name,
            })
        });
        Self(json!({
            "event": message.event.as_str(),
            "title": message.title,
            "body": message.body,
            "priority": message.priority.display(),
            "name": name,
            "link": link,
            "unsubscribe": unsubscribe,
            "ticket": ticket,
            "data": message.metadata,
        }))
    }

    /// The variables for a digest.
    #[must_use]
    pub fn of_digest(
        items: &[(&Message, Option<String>)],
        name: &str,
        unsubscribe: Option<&str>,
    ) -> Self {
        let item = |(message, link): &(&Message, Option<String>)| json!({ "title": message.title, "body": message.body, "link": link });
        let titles: Vec<&str> = items.iter().map(|(message, _)| message.title.as_str()).collect();
        Self(json!({
            "event": "digest",
            "title": format!("{} notifications", items.len()),
            "body": titles.join("\n"),
            "name": name,
            "unsubscribe": unsubscribe,
            "items": items.iter().map(item).collect::<Vec<_>>(),
        }))
    }
}

/// A parsed template: parsing takes longer than rendering.
#[derive(Debug)]
pub(super) struct Parsed {
    subject: Tree,
    text: Tree,
    html: Option<Tree>,
}

impl Parsed {
    /// Parses all parts.
    ///
    /// # Errors
    /// [`BadTemplate`] with the first invalid part.
    pub(super) fn of(source: &Source) -> Result<Self, BadTemplate> {
        let html = (!source.html.is_empty()).then(|| parse("html", &source.html));
        Ok(Self {
            subject: parse("subject", &source.subject)?,
            text: parse("text", &source.text)?,
            html: html.transpose()?,
        })
    }

    /// Renders all parts.
    ///
    /// # Errors
    /// [`BadTemplate`] with the part that failed.
    pub(super) fn render(&self, view: &View) -> Result<Rendered, BadTemplate> {
        // The variables, converted once for all parts.
        let view = minijinja::Value::from_serialize(&view.0);
        let until = Instant::now() + TIME_MAX;
        let subject = fill("subject", &self.subject, &view, until)?;
        let text = fill("text", &self.text, &view, until)?;
        let html = self.html.as_ref().map(|html| fill("html", html, &view, until)).transpose()?;
        Ok(Rendered { subject: one_line(&subject), text, html, is_written: false })
    }
}

/// Parses a part.
///
/// # Errors
/// [`BadTemplate`] for invalid syntax or an unavailable construct.
pub(super) fn parse(part: &'static str, source: &str) -> Result<Tree, BadTemplate> {
    if source.chars().count() > SOURCE_MAX {
        let problem = format!("it has more than {SOURCE_MAX} characters");
        return Err(BadTemplate { part, problem });
    }
    Tree::parse(source).map_err(|fault| BadTemplate { part, problem: fault.to_string() })
}

/// Renders one part; values are escaped in HTML.
///
/// # Errors
/// [`BadTemplate`], also if it exceeds its limits.
pub(super) fn part(part: &'static str, tree: &Tree, view: &View) -> Result<String, BadTemplate> {
    let view = minijinja::Value::from_serialize(&view.0);
    fill(part, tree, &view, Instant::now() + TIME_MAX)
}

fn fill(
    part: &'static str,
    tree: &Tree,
    view: &minijinja::Value,
    until: Instant,
) -> Result<String, BadTemplate> {
    let run = Run::new(view, part == "html", Budget::new(until));
    run.render(tree).map_err(|fault| BadTemplate { part, problem: fault.to_string() })
}

/// A single line: no value can inject a header.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(SUBJECT_MAX).collect()
}

/// The message's own text, if even a default fails.
pub(super) fn plain(View(view): &View) -> Rendered {
    let word = |name: &str| view.get(name).and_then(Value::as_str).unwrap_or_default();
    let (subject, text) = (one_line(word("title")), word("body").to_owned());
    Rendered { subject, text, html: None, is_written: false }
}
