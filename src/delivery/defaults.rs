//! The default templates, and the sample data that templates are tested with.

use bellpull_domain::channel::{Channel, TemplateSpec};
use bellpull_domain::event::Event;
use bellpull_domain::ticket::example;
use bellpull_port::templates::Source;
use serde_json::{Value, json};

use super::template::View;

/// The event name of the templates for e-mail digests.
pub const DIGEST: &str = "digest";

/// The default templates of an event on a channel.
#[must_use]
pub fn default_of(event: &str, channel: Channel) -> Source {
    let template = channel.spec().template.as_ref();
    let subject = template.is_none_or(TemplateSpec::has_subject).then_some("{{ title }}");
    let (text, html) = match (channel == Channel::Email, event) {
        (true, DIGEST) => (DIGEST_TEXT, DIGEST_HTML),
        (true, event) if is_of_accounts(event) => (ACCOUNT_TEXT, ACCOUNT_HTML),
        (true, _) => (template.map_or(BODY, |template| template.text), EMAIL_HTML),
        (false, _) => (template.map_or(BODY, |template| template.text), ""),
    };
    let [subject, text, html] = [subject.unwrap_or_default(), text, html].map(str::to_owned);
    Source { subject, text, html }
}

/// Whether an event is only ever sent as a mail about the account itself.
#[must_use]
pub fn is_of_accounts(event: &str) -> bool {
    Event::OF_ACCOUNTS.iter().any(|one| one.as_str() == event)
}

const ACCOUNT_TEXT: &str =
    "Hello {{ name }},\n\n{{ body }}\n{% if link %}\n{{ link }}\n{% endif %}";

const ACCOUNT_HTML: &str = include_str!("account.html");

const EMAIL_HTML: &str = include_str!("email.html");

const DIGEST_TEXT: &str = "Hello {{ name }},\n\nthis is new:\n\
    {% for item in items %}\n* {{ item.title }}\n  {{ item.body }}\n\
    {% if item.link %}  {{ item.link }}\n{% endif %}{% endfor %}\
    {% if unsubscribe %}\n-- \nWhat you are sent, and how often: {{ unsubscribe }}\n{% endif %}";

const DIGEST_HTML: &str = include_str!("digest.html");

/// The text where a channel has no templates.
const BODY: &str = "{{ body }}";

/// Sample data for an event's template: every variable has a value.
#[must_use]
pub fn sample(event: &str) -> View {
    if event == DIGEST {
        return sample_digest(3);
    }
    let event = Event::from_name(event);
    let of_ticket = example(&event);
    let is_ticket = of_ticket.is_some();
    let body = if let Some(body) = &of_ticket {
        body
    } else if event == Event::UserRegistration {
        "A new Client has registered: John Client (john@example.com)"
    } else if event == Event::PasswordReset {
        "A new password was requested for your account ada."
    } else if event == Event::EmailConfirmation {
        "Please confirm the e-mail address of your account ada."
    } else {
        "A message <in more> words."
    };
    let title = if event.is_the_hubs() { event.title() } else { "A title" };
    let data = match is_of_accounts(event.as_str()) {
        true => json!({ "username": "ada", "minutes": 30 }),
        false => json!({}),
    };
    let ticket = is_ticket.then(|| {
        json!({
            "key": "WEB-5",
            "title": "Slow & late",
            "status": "In Progress",
            "priority": "High",
            "project": "Main Website",
        })
    });
    View(json!({
        "event": event.as_str(),
        "title": title,
        "body": body,
        "priority": "High",
        "name": "Ada Lovelace",
        "link": "https://hub.example.com/tickets/5/",
        "unsubscribe": "https://hub.example.com/unsubscribe/token/",
        "ticket": ticket,
        "data": data,
    }))
}

/// A digest of that many notifications.
#[must_use]
pub fn sample_digest(contents: usize) -> View {
    let item = |n: usize| {
        json!({
            "title": "Work Started",
            "body": format!("Ada started work on WEB-{n}: Slow & late"),
            "link": format!("https://hub.example.com/tickets/{n}/"),
        })
    };
    let items: Vec<Value> = (1..=contents).map(item).collect();
    View(json!({
        "event": DIGEST,
        "title": format!("{contents} notifications"),
        "body": vec!["Work Started"; contents].join("\n"),
        "name": "Ada Lovelace",
        "unsubscribe": "https://hub.example.com/console/preferences",
        "items": items,
    }))
}
