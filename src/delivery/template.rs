//! One template: how it is rendered, and what it sees.
//!
//! A template has a subject, a text and, for e-mail, an HTML part in which everything that is put
//! in is escaped. It sees `title`, `body`, `event`, `priority`, `name` (the recipient's), `link`,
//! `unsubscribe`, `ticket` (`key`, `title`, `status`, `priority`, `project`), `data` (the sender's
//! own), and for a digest `items`, each with `title`, `body`, `link`.
//!
//! Whoever edits templates is an admin, not a programmer: no template can take more memory or time
//! than it may, whatever it says and whatever is put in, and no header can be smuggled into a
//! subject. In reading order: [`tree`] (what a template is), [`lower`] (from its text), [`run`]
//! (what it becomes) with [`values`], [`filters`] and [`budget`] (what that may cost).

mod budget;
mod filters;
mod lower;
mod run;
#[cfg(test)]
mod tests;
mod tree;
mod values;

use std::time::Instant;

use bellpull_actors::domain::notification::Message;
use bellpull_actors::port::templates::Source;
use serde_json::{Value, json};

use self::budget::{Budget, TIME_MAX};
use self::run::Run;
pub(super) use self::tree::Tree;

/// The most that a template may be, in characters; each of its parts.
pub const SOURCE_MAX: usize = 20_000;
/// The most that a part may become, in bytes: an e-mail that a phone still opens.
const OUTPUT_MAX: usize = 256 * 1024;
/// What a subject may be, in characters: longer ones are cut by clients anyway.
const SUBJECT_MAX: usize = 255;

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line, without any control character: no header can be smuggled in by it.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML part, where there is one.
    pub html: Option<String>,
    /// Whether an admin wrote it: then it is said as it stands.
    pub is_written: bool,
}

/// What is wrong with a template: its part, the line, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {problem}")]
pub struct BadTemplate {
    /// `subject`, `text` or `html`.
    pub part: &'static str,
    /// For people.
    pub problem: String,
}

/// What a template sees of a notification.
#[derive(Debug, Clone)]
pub struct View(pub(super) Value);

impl View {
    /// What a template sees of one message to somebody of that name.
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

    /// What a template sees of a digest.
    #[must_use]
    pub fn of_digest(items: &[(&Message, Option<String>)], name: &str) -> Self {
        let item = |(message, link): &(&Message, Option<String>)| json!({ "title": message.title, "body": message.body, "link": link });
        let titles: Vec<&str> = items.iter().map(|(message, _)| message.title.as_str()).collect();
        Self(json!({
            "event": "digest",
            "title": format!("{} notifications", items.len()),
            "body": titles.join("\n"),
            "name": name,
            "items": items.iter().map(item).collect::<Vec<_>>(),
        }))
    }
}

/// A template whose parts were parsed: to parse them takes longer than to fill them in.
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
    /// [`BadTemplate`] with the first part at fault.
    pub(super) fn of(source: &Source) -> Result<Self, BadTemplate> {
        let html = (!source.html.is_empty()).then(|| parse("html", &source.html));
        Ok(Self {
            subject: parse("subject", &source.subject)?,
            text: parse("text", &source.text)?,
            html: html.transpose()?,
        })
    }

    /// Fills all parts in.
    ///
    /// # Errors
    /// [`BadTemplate`] with the part at fault.
    pub(super) fn render(&self, view: &View) -> Result<Rendered, BadTemplate> {
        // As the parts take it, once for all of them.
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
/// [`BadTemplate`] with what cannot be read, or is not available.
pub(super) fn parse(part: &'static str, source: &str) -> Result<Tree, BadTemplate> {
    if source.chars().count() > SOURCE_MAX {
        let problem = format!("it has more than {SOURCE_MAX} characters");
        return Err(BadTemplate { part, problem });
    }
    Tree::parse(source).map_err(|fault| BadTemplate { part, problem: fault.to_string() })
}

/// Fills one part in; what is put into it is escaped in HTML.
///
/// # Errors
/// [`BadTemplate`], also where it would cost more than it may.
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

/// A line that no header can be smuggled in by.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(SUBJECT_MAX).collect()
}

/// The words alone, for the case that even a default fails.
pub(super) fn plain(View(view): &View) -> Rendered {
    let word = |name: &str| view.get(name).and_then(Value::as_str).unwrap_or_default();
    let (subject, text) = (one_line(word("title")), word("body").to_owned());
    Rendered { subject, text, html: None, is_written: false }
}
