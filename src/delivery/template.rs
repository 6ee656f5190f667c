//! One template: how it is rendered, and what it sees.
//!
//! A template has a subject, a text and, for e-mail, an HTML part in which everything that is put
//! in is escaped. It sees `title`, `body`, `event`, `priority`, `name` (the recipient's), `link`,
//! `unsubscribe`, `ticket` (`key`, `title`, `status`, `priority`, `project`), `data` (the sender's
//! own), and for a digest `items`, each with `title`, `body`, `link`.
//!
//! Whoever edits templates is an admin, not a programmer: a template can neither loop without end
//! nor fill the memory, and no header can be smuggled into a subject, whatever is put in.

use std::sync::LazyLock;

use bellpull_actors::domain::notification::Message;
use bellpull_actors::port::templates::Source;
use minijinja::{AutoEscape, Environment, ErrorKind, Template};
use serde::Serialize;
use serde_json::{Value, json};

/// The most that a template may be, in characters; each of its parts.
pub const SOURCE_MAX: usize = 20_000;
/// The most that a part may become, in bytes: an e-mail that a phone still opens.
const OUTPUT_MAX: usize = 256 * 1024;
/// The most steps that a part may take: a digest of 500 items needs some 20,000.
const FUEL: u64 = 100_000;
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

/// Made once: its filters and limits are the same for every part.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|name| match name.split(PART_ENDS).next() {
        Some("html") => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    environment
}

/// Ends a part's name, where its text follows.
const PART_ENDS: char = ':';

/// Parts as they were parsed, by what they are and what they say: to parse one takes longer than
/// to fill it in. It keeps whatever it has rendered.
#[derive(Debug)]
pub(super) struct Parsed(Environment<'static>);

impl Default for Parsed {
    fn default() -> Self {
        let mut environment = environment();
        let source = |name: &str| name.split_once(PART_ENDS).map(|(_, source)| source.to_owned());
        environment.set_loader(move |name| Ok(source(name)));
        Self(environment)
    }
}

impl Parsed {
    /// Renders a template as [`render`] does.
    ///
    /// # Errors
    /// [`BadTemplate`] with the part at fault.
    pub(super) fn render(&self, source: &Source, view: &View) -> Result<Rendered, BadTemplate> {
        // As the parts take it, once for all of them.
        let value = minijinja::Value::from_serialize(&view.0);
        rendered(source, |part, source| {
            let template = self.0.get_template(&format!("{part}{PART_ENDS}{source}"));
            fill(part, template, &value)
        })
    }
}

/// Renders a template.
///
/// # Errors
/// [`BadTemplate`] with the part at fault.
pub fn render(source: &Source, view: &View) -> Result<Rendered, BadTemplate> {
    rendered(source, |name, source| part(name, source, view))
}

fn rendered(
    source: &Source,
    part: impl Fn(&'static str, &str) -> Result<String, BadTemplate>,
) -> Result<Rendered, BadTemplate> {
    let subject = part("subject", &source.subject)?;
    let text = part("text", &source.text)?;
    let html = match source.html.is_empty() {
        true => None,
        false => Some(part("html", &source.html)?),
    };
    Ok(Rendered { subject: one_line(&subject), text, html, is_written: false })
}

/// Renders one part; what is in it is escaped by its name.
pub(super) fn part(
    part: &'static str,
    source: &str,
    View(view): &View,
) -> Result<String, BadTemplate> {
    if source.chars().count() > SOURCE_MAX {
        let problem = format!("it has more than {SOURCE_MAX} characters");
        return Err(BadTemplate { part, problem });
    }
    fill(part, ENVIRONMENT.template_from_named_str(part, source), view)
}

/// Fills a part in, if it can be parsed.
fn fill(
    part: &'static str,
    template: Result<Template<'_, '_>, minijinja::Error>,
    view: impl Serialize,
) -> Result<String, BadTemplate> {
    let bad = |problem: String| BadTemplate { part, problem };
    let template = template.map_err(|error| bad(problem(&error)))?;
    let mut out = Bounded::default();
    match template.render_captured_to(view, &mut out) {
        Ok(_) if !out.is_over => String::from_utf8(out.bytes).map_err(|_| bad("not text".into())),
        Err(_) | Ok(_) if out.is_over => {
            Err(bad(format!("it becomes more than {OUTPUT_MAX} bytes")))
        }
        Ok(_) => Err(bad("it is wrong".to_owned())),
        Err(error) => Err(bad(problem(&error))),
    }
}

/// The variables that a part takes from outside, with what it takes of them (`ticket.key`).
pub(super) fn variables(part: &'static str, source: &str) -> Vec<String> {
    let template = ENVIRONMENT.template_from_named_str(part, source);
    let found = template.map(|template| template.undeclared_variables(true)).unwrap_or_default();
    let is_own = |name: &String| !ENVIRONMENT.globals().any(|(own, _)| own == name);
    let mut found: Vec<String> = found.into_iter().filter(is_own).collect();
    found.sort();
    found
}

fn problem(error: &minijinja::Error) -> String {
    let what = || error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match (error.kind(), error.line()) {
        (ErrorKind::OutOfFuel, _) => "it takes too many steps".to_owned(),
        (_, Some(line)) => format!("line {line}: {}", what()),
        (_, None) => what(),
    }
}

/// Takes [`OUTPUT_MAX`] bytes, and fails over the next.
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_over: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_MAX {
            self.is_over = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::event::Event;
    use bellpull_actors::domain::notification::Kind;
    use bellpull_actors::domain::routing::Channel;
    use bellpull_actors::domain::ticket::Priority;
    use jiff::Timestamp;
    use serde_json::Map;

    use super::super::defaults::default_of;
    use super::*;

    fn message(title: &str, body: &str) -> Message {
        Message {
            event: Event::Other("general".into()),
            kind: Kind::Info,
            title: title.to_owned(),
            body: body.to_owned(),
            action_url: String::new(),
            metadata: Map::new(),
            ticket: None,
            sender: None,
            priority: Priority::Medium,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn view(title: &str, body: &str) -> View {
        View::of(&message(title, body), "Ada", Some("https://desk.example/x?a=1&b=2"), None)
    }

    fn source(subject: &str, text: &str, html: &str) -> Source {
        let [subject, text, html] = [subject, text, html].map(str::to_owned);
        Source { subject, text, html }
    }

    #[test]
    fn what_is_put_into_html_is_escaped_and_into_text_is_not() {
        let view = view("<b>Hi</b>", "1 < 2 & \"3\"");
        let rendered = render(&default_of("general", Channel::Email), &view).unwrap();
        let html = rendered.html.unwrap();
        assert!(html.contains("1 &lt; 2 &amp; &quot;3&quot;"), "{html}");
        assert!(html.contains("a=1&amp;b=2") && !html.contains("<b>Hi"), "{html}");
        assert_eq!(rendered.subject, "<b>Hi</b>");
        assert!(rendered.text.contains("1 < 2 & \"3\""), "{}", rendered.text);
    }

    #[test]
    fn what_was_parsed_before_says_the_same() {
        let (parsed, names) = (Parsed::default(), ["<Ada>", "Bob & Eve"]);
        for (channel, name) in Channel::ALL.into_iter().flat_map(|one| names.map(|n| (one, n))) {
            let view = View::of(&message("<b>Hi</b>", "1 < 2"), name, Some("https://x/"), None);
            let source = default_of("general", channel);
            assert_eq!(parsed.render(&source, &view), render(&source, &view), "{channel:?}");
        }
        // The same words in another part mean something else.
        let view = view("<", "&");
        let rendered = parsed.render(&source("{{ title }}", "{{ title }}", "{{ title }}"), &view);
        let rendered = rendered.unwrap();
        assert_eq!((&*rendered.text, rendered.html.as_deref()), ("<", Some("&lt;")));
        let bad = source("{{ title", "", "");
        assert_eq!(parsed.render(&bad, &view), render(&bad, &view));
        let colons = source("a: b: {{ title }}", ":", "");
        assert_eq!(parsed.render(&colons, &view), render(&colons, &view));
    }

    #[test]
    fn no_header_is_smuggled_into_a_subject() {
        let view = view("Hello\r\nBcc: all@example.com\u{b}\u{0}", "x");
        for channel in Channel::ALL {
            let rendered = render(&default_of("general", channel), &view).unwrap();
            assert!(!rendered.subject.contains(char::is_control), "{:?}", rendered.subject);
        }
        let written = render(&source("a\nBcc: {{ title }}", "", ""), &view).unwrap();
        assert!(!written.subject.contains(char::is_control));
    }

    #[test]
    fn a_bad_template_is_named_with_its_part_and_line() {
        let bad = |subject, text, html| {
            render(&source(subject, text, html), &view("t", "b")).unwrap_err().to_string()
        };
        assert!(bad("{{ title", "", "").starts_with("subject: line 1: "));
        assert!(bad("", "a\nb\n{% if %}", "").starts_with("text: line 3: "));
        assert!(bad("", "", "{{ nothing() }}").starts_with("html: line 1: "));
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert_eq!(bad("", endless, ""), "text: it takes too many steps");
        let huge = "{{ 'x' * 1000000 }}";
        assert!(bad("", huge, "").starts_with("text: "), "{}", bad("", huge, ""));
        assert!(bad("", &"x".repeat(SOURCE_MAX + 1), "").contains("more than 20000 characters"));
    }

    #[test]
    fn what_a_part_takes_from_outside_is_known() {
        let text = "{% set a = title %}{{ a }}{% for i in range(3) %}{{ i }}{% endfor %}\
                    {{ ticket.key }}{{ data.x.y }}{{ nme }}";
        assert_eq!(variables("text", text), ["data.x.y", "nme", "ticket.key", "title"]);
    }

    #[test]
    fn a_digest_lists_all_its_items() {
        let (one, two) = (message("One", "first"), message("Two", "<second>"));
        let view =
            View::of_digest(&[(&one, Some("https://x.example/".into())), (&two, None)], "Ada");
        let rendered = render(&default_of("digest", Channel::Email), &view).unwrap();
        assert_eq!(rendered.subject, "2 notifications");
        assert!(rendered.text.contains("* One\n  first\n  https://x.example/\n\n* Two\n"));
        assert!(rendered.html.unwrap().contains("&lt;second&gt;"));
    }
}
