//! A comment on a ticket, and its mentions.

use std::collections::HashSet;

use jiff::Timestamp;

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

/// A name in a comment, as it may be spelt: usernames may end in a full stop, and so do sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The likelier first: as written, and, if it ends in punctuation, without that.
    pub spellings: Vec<String>,
}

/// The names that a comment mentions with `@username`, in their order, each once, at most 50. An
/// `@` within a word is not a mention: `bob@example.com` is an address.
#[must_use]
pub fn mentions(body: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for word in body.split(|c: char| !c.is_alphanumeric() && !SIGNS.contains(c)) {
        let Some(name) = word.strip_prefix('@') else { continue };
        let bare = name.trim_end_matches(|c: char| SIGNS.contains(c));
        if bare.is_empty() || !known.insert(name) {
            continue;
        }
        let both = if bare == name { vec![name] } else { vec![name, bare] };
        let fits = |spelling: &&str| spelling.chars().count() <= USERNAME_CHARS_MAX;
        let spellings: Vec<String> = both.into_iter().filter(fits).map(ToOwned::to_owned).collect();
        if !spellings.is_empty() {
            found.push(Mention { spellings });
        }
        if found.len() == NAMES_MAX {
            break;
        }
    }
    found
}

/// Those of the users who have a mentioned name, each name's likeliest spelling only.
fn named<'a>(mentions: &[Mention], people: &'a [(User, bool)]) -> Vec<&'a (User, bool)> {
    let bearer = |name: &String| people.iter().find(|(user, _)| user.username == *name);
    mentions.iter().filter_map(|mention| mention.spellings.iter().find_map(bearer)).collect()
}

/// A comment on a ticket that its author may see, and the announcement to the mentioned users who
/// may see the ticket. `people` are the accounts with the mentions' spellings, each with whether it
/// is a member of the project. The store gives the comment its id.
#[must_use]
pub fn comment(
    ticket: &Ticket,
    project: &Project,
    author: &Caller,
    body: String,
    people: &[(User, bool)],
    now: Timestamp,
) -> (Comment, Option<Announcement>) {
    let may_see = |(user, is_member): &&(User, bool)| {
        let is_member = *is_member || project.is_open;
        let membership = if is_member { Membership::Member } else { Membership::NonMember };
        user.is_active && is_visible(ticket, &Caller::from(user), membership)
    };
    let mut users: Vec<UserId> = named(&mentions(&body), people)
        .into_iter()
        .filter(may_see)
        .map(|(user, _)| user.id)
        .collect();
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
    (comment, announcement)
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
            ("@bob's", vec![vec!["bob"]]),
            ("@j.doe+x-y_z", vec![vec!["j.doe+x-y_z"]]),
            ("@jürgen und @李", vec![vec!["jürgen"], vec!["李"]]),
            ("@a@b.com", vec![vec!["a@b.com"]]),
            ("bob@example.com, x.@bob, a-@bob", vec![]),
            ("@ @@ @. @-_", vec![]),
        ] {
            assert_eq!(spelt(body), names, "{body}");
        }
        let long = "x".repeat(151);
        assert!(spelt(&format!("@{long}")).is_empty());
        assert_eq!(spelt(&format!("@{}.", &long[1..])), [[&long[1..]]]);
    }

    #[test]
    fn at_most_fifty_names_are_looked_at() {
        let body: String = (0..80).map(|n| format!("@user{n} @user{n} ")).collect();
        let names = spelt(&body);
        assert_eq!((names.len(), names[49][0].as_str()), (50, "user49"));
    }
}
