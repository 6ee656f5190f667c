//! Validates a template before it is saved: everything that is wrong with it, for the admin who
//! wrote it.

use bellpull_domain::routing::Channel;
use bellpull_port::templates::Source;

use super::defaults::{DIGEST, sample, sample_digest};
use super::template::{BadTemplate, Parsed, Rendered, View, parse, part};

/// The variables that every template of a notification has.
const KNOWN: [&str; 9] =
    ["event", "title", "body", "priority", "name", "link", "unsubscribe", "ticket", "data"];
/// The attributes of `ticket`.
const KNOWN_OF_TICKET: [&str; 5] = ["key", "title", "status", "priority", "project"];
/// The variables of a digest's template.
const KNOWN_OF_DIGEST: [&str; 6] = ["event", "title", "body", "name", "items", "unsubscribe"];
/// A digest must render with this many notifications, the most that one e-mail contains.
const DIGEST_MAX: usize = 100;

/// The parts that a channel's template has.
#[must_use]
pub fn parts(channel: Channel) -> &'static [&'static str] {
    channel.spec().template.as_ref().map_or(&[], |template| template.parts)
}

/// Renders the template with sample data.
///
/// # Errors
/// Everything that is wrong with it, at most one problem per part.
pub fn prove(event: &str, channel: Channel, source: &Source) -> Result<Rendered, Vec<BadTemplate>> {
    let mut wrong = Vec::new();
    for (name, text) in
        [("subject", &source.subject), ("text", &source.text), ("html", &source.html)]
    {
        wrong.extend(wrong_with(event, channel, name, text));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Parsed::of(source).and_then(|parsed| parsed.render(&sample(event))).map_err(|bad| vec![bad])
}

fn wrong_with(
    event: &str,
    channel: Channel,
    name: &'static str,
    source: &str,
) -> Option<BadTemplate> {
    let bad = |problem: String| Some(BadTemplate { part: name, problem });
    if !parts(channel).contains(&name) {
        let problem = || format!("{} has none: leave it out", channel.display());
        return if source.is_empty() { None } else { bad(problem()) };
    }
    if source.is_empty() && name == "html" {
        return None;
    }
    // Syntax first: the variables of a part that cannot be parsed are unknown.
    let rendered =
        parse(name, source).and_then(|tree| Ok((part(name, &tree, &sample(event))?, tree)));
    let (rendered, tree) = match rendered {
        Err(wrong) => return Some(wrong),
        Ok(both) => both,
    };
    if let Some(unknown) = tree.free.iter().find(|one| !is_known(event, one)) {
        let line = line_of(source, unknown);
        return bad(format!("line {line}: there is no {unknown}; there are {}", known(event)));
    }
    if let Some(longest) = longest(event)
        && let Err(wrong) = part(name, &tree, &longest)
    {
        return Some(wrong);
    }
    if rendered.trim().is_empty() {
        return bad("nothing is left of it where it is filled in".to_owned());
    }
    if name == "subject" && rendered.trim().contains(char::is_control) {
        return bad("it must be one line, without tabs or other control characters".to_owned());
    }
    None
}

fn longest(event: &str) -> Option<View> {
    (event == DIGEST).then(|| sample_digest(DIGEST_MAX))
}

fn is_known(event: &str, variable: &str) -> bool {
    let (name, rest) = variable.split_once('.').unwrap_or((variable, ""));
    match name {
        _ if event == DIGEST => KNOWN_OF_DIGEST.contains(&name),
        "ticket" => rest.is_empty() || KNOWN_OF_TICKET.contains(&rest),
        _ => KNOWN.contains(&name),
    }
}

fn known(event: &str) -> String {
    if event == DIGEST {
        return KNOWN_OF_DIGEST.join(", ");
    }
    let ticket = KNOWN_OF_TICKET.map(|name| format!("ticket.{name}")).join(", ");
    format!("{}, {ticket}", KNOWN.join(", "))
}

/// The first line that names a variable, or that names the first part of its path.
fn line_of(source: &str, variable: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let names = |line: &str, wanted: &str| {
        line.match_indices(wanted).any(|(at, found)| {
            let before = line[..at].chars().next_back().is_some_and(|c| is_word(c) || c == '.');
            let after = line[at + found.len()..].chars().next().is_some_and(is_word);
            !before && !after
        })
    };
    let find = |wanted: &str| source.lines().position(|line| names(line, wanted));
    let first = variable.split('.').next().unwrap_or(variable);
    find(variable).or_else(|| find(first)).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use bellpull_domain::event::Event;

    use super::super::defaults::default_of;
    use super::*;

    fn source(subject: &str, text: &str, html: &str) -> Source {
        let [subject, text, html] = [subject, text, html].map(str::to_owned);
        Source { subject, text, html }
    }

    fn wrong(event: &str, channel: Channel, source: &Source) -> String {
        let all = prove(event, channel, source).unwrap_err();
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_defaults_will_do() {
        let events =
            Event::OWN.iter().chain(&Event::OF_ACCOUNTS).map(Event::as_str).chain(["general"]);
        for event in events {
            for (channel, _) in Channel::templated() {
                let rendered = prove(event, channel, &default_of(event, channel)).unwrap();
                assert!(!rendered.text.is_empty(), "{event} {channel:?}");
            }
        }
        assert!(prove(DIGEST, Channel::Email, &default_of(DIGEST, Channel::Email)).is_ok());
    }

    #[test]
    fn unknown_variables_are_named_with_their_line() {
        let told = wrong("mentioned", Channel::Sms, &source("", "{{ title }}\n\n{{ titel }}", ""));
        assert!(told.starts_with("text: line 3: there is no titel; there are event, "), "{told}");
        let told = wrong("mentioned", Channel::Sms, &source("", "{{ ticket.nr }}", ""));
        assert!(told.starts_with("text: line 1: there is no ticket.nr; "), "{told}");
        let told = wrong(DIGEST, Channel::Email, &source("{{ title }}", "{{ link }}", ""));
        assert!(told.starts_with("text: line 1: there is no link; "), "{told}");
        // A sender's own data may contain anything.
        let own = source("", "{{ title }} {{ data.order.number }}", "");
        assert!(prove("shipped", Channel::Sms, &source("", "{{ data.order }}!", "")).is_ok());
        assert!(prove("shipped", Channel::Sms, &own).is_err(), "what is deeper may be missing");
        let careful = source("", "{% if data.order %}{{ data.order.number }}{% endif %}!", "");
        assert!(prove("shipped", Channel::Sms, &careful).is_ok());
    }

    #[test]
    fn all_parts_are_judged_and_each_by_its_channel() {
        let told = wrong("mentioned", Channel::Email, &source("{% if %}", "", "{{ x }}"));
        let parts: Vec<&str> =
            told.lines().map(|line| line.split(':').next().unwrap_or_default()).collect();
        assert_eq!(parts, ["subject", "text", "html"], "{told}");
        let told = wrong("mentioned", Channel::Sms, &source("Hi", "x", "<b>x</b>"));
        assert_eq!(told, "subject: SMS has none: leave it out\nhtml: SMS has none: leave it out");
    }

    #[test]
    fn a_subject_is_one_line() {
        for subject in ["a\nBcc: all@example.com", "a{{ '\\n' }}b", "a\tb", "{{ ticket.x }}", " "] {
            let source = source(subject, "x", "");
            assert!(wrong("mentioned", Channel::Email, &source).starts_with("subject: "));
        }
        assert!(prove("mentioned", Channel::Email, &source("{{ title }}\n", "x", "")).is_ok());
    }

    #[test]
    fn a_digest_must_bear_its_longest() {
        let steps =
            "{% for item in items %}{% for n in range(500) %}{{ n }}{% endfor %}{% endfor %}";
        let told = wrong(DIGEST, Channel::Email, &source("x", steps, ""));
        assert!(told.starts_with("text: line 1: ") && told.contains("takes more than"), "{told}");
    }
}
