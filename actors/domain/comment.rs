//! A comment on a ticket, and its mentions.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;

use super::confusable::folded;
use super::event::Event;
use super::idempotency::IdempotencyKey;
use super::ids::{CommentId, TicketId, UserId};
use super::notification::Announcement;
use super::routing::Audience;
use super::text::shortened;
use super::ticket::{Caller, Membership, Project, Ticket, announce, is_visible};
use super::user::User;

/// A comment mentions at most this many users; further names are ignored.
const NAMES_MAX: usize = 50;
/// No username is longer: see where accounts are registered.
const USERNAME_CHARS_MAX: usize = 150;
/// How much of a comment its notifications quote.
const QUOTED_CHARS_MAX: usize = 140;
/// The characters of a username besides letters and digits.
const SIGNS: &str = "@.+-_";
/// How many names one mention is looked up by: a name may have some full stops.
const SPELLINGS_MAX: usize = 4;
/// The backticks or tildes that begin a block of code.
const FENCE: usize = 3;
/// What begins a mention: `@`, and its forms in full and in small width.
const BEGINS: [char; 3] = ['@', '\u{ff20}', '\u{fe6b}'];
/// The first of the characters of Chinese, Japanese and Korean, whose words have no spaces.
const SPACELESS: char = '\u{2e80}';

/// A comment on a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Over all tickets.
    pub id: CommentId,
    /// The ticket.
    pub ticket: TicketId,
    /// The author.
    pub author: UserId,
    /// That person's name at the time.
    pub author_name: String,
    /// The text; 1 to 10,000 characters, never blank (the edge checks it).
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}

/// A comment that is to be written.
#[derive(Debug, Clone)]
pub struct NewComment {
    /// It; the store assigns the id.
    pub comment: Comment,
    /// The version of the ticket that the author sees, and whose developers are notified.
    pub ticket_version: i64,
    /// The users that it notifies.
    pub announcement: Option<Announcement>,
    /// The key that makes a retry the same request.
    pub key: Option<IdempotencyKey>,
}

/// A name in a comment, as far as it may reach: usernames may contain full stops, and so do texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Where the text has its `@`, in bytes.
    pub at: usize,
    /// The longest first. Each ends where no letter or digit follows.
    pub spellings: Vec<String>,
}

/// The names that a comment mentions with `@username`, in their order, each once, at most 50.
///
/// An `@` within a word is none: `bob@example.com` is an address. Scripts that write no space
/// between words have a word wherever one may begin. What is code or a link is not read.
#[must_use]
pub fn mentions(body: &str) -> Vec<Mention> {
    let mut known = HashSet::new();
    let mut found = places(body);
    found.retain(|mention| mention.spellings.first().is_some_and(|one| known.insert(one.clone())));
    found.truncate(NAMES_MAX);
    found
}

/// The same, each as often as it is there.
fn places(body: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    for prose in prose(body) {
        let start = prose.as_ptr().addr() - body.as_ptr().addr();
        let mut before = ' ';
        for (at, content) in prose.char_indices() {
            if BEGINS.contains(&content) && !is_part_of_word(before) {
                let spellings = spellings(&prose[at + content.len_utf8()..]);
                found.push(Mention { at: start + at, spellings });
            }
            // It emphasises, or is within the word before it.
            if content != '_' {
                before = content;
            }
        }
    }
    found
}

/// Where a comment mentions users: each mention's user and range, in characters, its `@` among
/// them.
pub type Mentioned = Vec<(UserId, Range<usize>)>;

/// Where a comment mentions these users, who may see its ticket: by each mention the one with the
/// longest name. Names are compared as they are unique: in compatibility form and without case.
#[must_use]
pub fn mentioned(body: &str, seeing: &[&User]) -> Mentioned {
    let names: Vec<String> = seeing.iter().map(|user| folded(&user.username)).collect();
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for Mention { at, spellings } in places(body) {
        // Names beyond the limit notify no user.
        if !spellings.first().is_some_and(|one| known.len() < NAMES_MAX || known.contains(one)) {
            continue;
        }
        known.extend(spellings.first().cloned());
        let bearer = |name: &&String| {
            let wanted = folded(name);
            names.iter().position(|name| *name == wanted)
        };
        let Some((name, nth)) = spellings.iter().find_map(|name| Some((name, bearer(&name)?)))
        else {
            continue;
        };
        let start = body[..at].chars().count();
        found.push((seeing[nth].id, start..start + 1 + name.chars().count()));
    }
    found
}

/// The name that is being typed at the end of a text, without its `@`; `None` if there is none.
#[must_use]
pub fn unfinished(text: &str) -> Option<&str> {
    let word = prose(text).last().filter(|word| text.ends_with(word))?;
    let is_begin = |at: &usize| !word[..*at].chars().next_back().is_some_and(is_part_of_word);
    let (at, begin) = word.rmatch_indices(BEGINS.as_slice()).find(|(at, _)| is_begin(at))?;
    Some(&word[at + begin.len()..]).filter(|name| name.chars().all(is_in_name))
}

/// Whether an `@` after this character is within a word.
fn is_part_of_word(before: char) -> bool {
    let is_spaced = before < SPACELESS;
    (before.is_alphanumeric() && is_spaced) || SIGNS.contains(before)
}

/// The parts of a comment that are neither code, between backticks, nor a link.
fn prose(body: &str) -> impl Iterator<Item = &str> {
    let mut fence: Option<(char, usize)> = None;
    let lines = body.split('\n').filter(move |line| {
        let line = line.trim_start();
        let run = |of: char| line.chars().take_while(|content| *content == of).count();
        match fence {
            Some((of, open)) if run(of) >= open => fence = None,
            Some(_) => {}
            None => fence = ['`', '~'].map(|of| (of, run(of))).into_iter().find(|it| it.1 >= FENCE),
        }
        fence.is_none() && !line.starts_with("```") && !line.starts_with("~~~")
    });
    let unquoted = lines.flat_map(outside_code);
    unquoted.flat_map(|part| part.split_whitespace()).filter(|word| !is_link(word))
}

/// Whether a word is an address of the web: with a scheme, or a host before a path.
fn is_link(word: &str) -> bool {
    let is_host = |host: &str| {
        host.contains('.') && host.chars().all(|c| c.is_alphanumeric() || ".-:".contains(c))
    };
    let host = word.trim_start_matches(|c: char| !c.is_alphanumeric()).split('/').next();
    let is_mention = word.starts_with(BEGINS);
    let has_path = !is_mention && word.contains('/') && host.is_some_and(is_host);
    word.contains("://") || word.starts_with("www.") || has_path
}

/// The parts of a line that are not between two runs of as many backticks. A run that none of its
/// length follows quotes nothing.
fn outside_code(line: &str) -> Vec<&str> {
    let run = |text: &str| text.bytes().take_while(|byte| *byte == b'`').count();
    let (mut parts, mut rest) = (Vec::new(), line);
    while let Some(open) = rest.find('`') {
        let ticks = run(&rest[open..]);
        parts.push(&rest[..open]);
        rest = &rest[open + ticks..];
        let mut at = 0;
        while let Some(next) = rest[at..].find('`') {
            let found = run(&rest[at + next..]);
            at += next + found;
            if found == ticks {
                rest = &rest[at..];
                break;
            }
        }
    }
    parts.push(rest);
    parts
}

/// The names that a text may begin with, the longest first.
fn spellings(text: &str) -> Vec<String> {
    let end = text.find(|content| !is_in_name(content)).unwrap_or(text.len());
    let run = &text[..end];
    let mut ends = vec![run.len()];
    let sign_at = run.char_indices().filter(|(_, content)| SIGNS.contains(*content));
    ends.extend(sign_at.map(|(at, _)| at));
    ends.sort_unstable();
    ends.dedup();
    let whole = ends.into_iter().rev().take(SPELLINGS_MAX).map(|end| &run[..end]);
    let is_name = |name: &&str| {
        name.chars().any(char::is_alphanumeric) && name.chars().count() <= USERNAME_CHARS_MAX
    };
    whole.filter(is_name).map(ToOwned::to_owned).collect()
}

fn is_in_name(content: char) -> bool {
    content.is_alphanumeric() || is_accent(content) || SIGNS.contains(content)
}

/// An accent that is a character of its own, after its letter.
fn is_accent(content: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&content)
}

/// Whether a mention on the ticket notifies this account, which is a member of its project or not.
#[must_use]
pub fn may_see(ticket: &Ticket, is_open: bool, (user, is_member): &(User, bool)) -> bool {
    let is_member = *is_member || is_open;
    let membership = if is_member { Membership::Member } else { Membership::NonMember };
    user.is_active && is_visible(ticket, &Caller::from(user), membership)
}

/// A comment on a ticket that its author may see, the mentioned users who may see the ticket, and
/// the announcement to them. `people` are the accounts with the mentions' spellings, each with
/// whether it is a member of the project. The store gives the comment its id.
#[must_use]
pub fn comment(
    ticket: &Ticket,
    project: &Project,
    author: &Caller,
    body: String,
    people: &[(User, bool)],
    now: Timestamp,
) -> (Comment, Mentioned, Option<Announcement>) {
    let seeing = people.iter().filter(|one| may_see(ticket, project.is_open, one));
    let seeing: Vec<&User> = seeing.map(|(user, _)| user).collect();
    let mentioned = mentioned(&body, &seeing);
    let mut users: Vec<UserId> = mentioned.iter().map(|(user, _)| *user).collect();
    users.sort_unstable();
    users.dedup();
    users.retain(|user| *user != author.id);
    let announcement = (!users.is_empty()).then(|| {
        let quoted = shortened(&body, QUOTED_CHARS_MAX);
        let audience = Audience { users, ..Audience::default() };
        announce(ticket, Event::Mentioned, audience, &quoted, author, now)
    });
    let comment = Comment {
        id: CommentId(0),
        ticket: ticket.id,
        author: author.id,
        author_name: author.name.to_string(),
        body,
        created_at: now,
    };
    (comment, mentioned, announcement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(body: &str) -> Vec<Vec<String>> {
        mentions(body).into_iter().map(|mention| mention.spellings).collect()
    }

    #[test]
    fn a_mention_is_a_word_that_begins_with_an_at_sign() {
        for (body, names) in [
            ("", vec![]),
            ("@bob", vec![vec!["bob"]]),
            ("ask @bob, (@alice) and @bob", vec![vec!["bob"], vec!["alice"]]),
            ("@bob/@alice\n@carl", vec![vec!["bob"], vec!["alice"], vec!["carl"]]),
            ("Thanks @bob.", vec![vec!["bob.", "bob"]]),
            (
                "@bob.Thanks @bob...",
                vec![vec!["bob.Thanks", "bob"], vec!["bob...", "bob..", "bob.", "bob"]],
            ),
            ("@bob's", vec![vec!["bob"]]),
            ("@j.doe+x-y_z", vec![vec!["j.doe+x-y_z", "j.doe+x-y", "j.doe+x", "j.doe"]]),
            ("@jürgen und @李", vec![vec!["jürgen"], vec!["李"]]),
            ("@ju\u{308}rgen", vec![vec!["ju\u{308}rgen"]]),
            ("请@李雷 看一下", vec![vec!["李雷"]]),
            ("@a@b.com", vec![vec!["a@b.com", "a@b", "a"]]),
            ("bob@example.com, x.@bob, a-@bob", vec![]),
            ("@ @@ @. @-_", vec![]),
            ("https://x.example/@bob www.x.example/@bob x://y@bob", vec![]),
            ("`@bob` and ``@alice`` and @carl `", vec![vec!["carl"]]),
            ("```java\n@property\n```\n@bob", vec![vec!["bob"]]),
            ("````\n```\n@property\n````\n@bob", vec![vec!["bob"]]),
            ("```\n@property", vec![]),
            ("~~~\n@property\n```\n@x\n~~~\n@bob", vec![vec!["bob"]]),
            ("  ~~~~ java\n@property\n~~~\n@x\n~~~~\n@bob", vec![vec!["bob"]]),
            ("x.example/@bob (social.example:8080/@bob) and/@carl", vec![vec!["carl"]]),
            ("\u{ff20}bob x\u{ff20}y.example \u{fe6b}carl", vec![vec!["bob"], vec!["carl"]]),
            ("_@bob_ x_@carl", vec![vec!["bob_", "bob"]]),
        ] {
            assert_eq!(spelt(body), names, "{body}");
        }
        let long = "x".repeat(151);
        assert!(spelt(&format!("@{long}")).is_empty());
        assert_eq!(spelt(&format!("@{}.", &long[1..])), [[&long[1..]]]);
    }

    #[test]
    fn the_name_at_the_end_of_a_text_is_being_typed() {
        for (text, typed) in [
            ("", None),
            ("@", Some("")),
            ("ask @jü", Some("jü")),
            ("(@dev", Some("dev")),
            ("@o.neil+", Some("o.neil+")),
            ("@a@b", Some("a@b")),
            ("@bob ", None),
            ("@bob, ", None),
            ("@bob,x", None),
            ("bob@example", None),
            ("https://x.example/@bo", None),
            ("`@bob` @al", Some("al")),
            ("`@bob`", None),
            ("```\n@prop", None),
            ("请@李", Some("李")),
            ("\u{ff20}bo", Some("bo")),
        ] {
            assert_eq!(unfinished(text), typed, "{text}");
        }
    }

    #[test]
    fn at_most_fifty_names_are_looked_at() {
        let body: String = (0..80).map(|n| format!("@user{n} @user{n} ")).collect();
        let names = spelt(&body);
        assert_eq!((names.len(), names[49][0].as_str()), (50, "user49"));
    }
}
