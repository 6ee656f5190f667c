//! A user's action and the frames that must follow it, at once or when a user is back.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::Value;

use super::client::Person;
use super::print;

/// A user who must receive a frame, and why. One who is away must receive it on return.
pub(super) type Owed<'a> = (&'a mut Person, &'static str);

/// Where a request is sent.
pub(super) struct Site {
    pub(super) url: String,
    /// The node's name, if there are several.
    pub(super) node: Option<String>,
}

/// A hub, of one node or several.
pub(super) trait Sites {
    /// Where a request is sent whose frames go to these users.
    fn site(&self, owed: &[Owed<'_>]) -> Site;
}

/// The action.
pub(super) struct Act<'a> {
    who: &'a Person,
    path: String,
    body: Value,
}

impl<'a> Act<'a> {
    pub(super) fn new(who: &'a Person, path: &str, body: Value) -> Self {
        Self { who, path: path.to_owned(), body }
    }

    pub(super) fn on(ticket: i64, who: &'a Person, action: &str, body: Value) -> Self {
        Self { who, path: format!("/api/tickets/{ticket}/{action}/"), body }
    }

    /// Carries out the action and meanwhile awaits its frames: most arrive before the answer.
    /// Returns the ticket.
    pub(super) async fn play<const N: usize>(
        self,
        sites: &(dyn Sites + Sync),
        words: &str,
        event: &'static str,
        owed: [Owed<'_>; N],
    ) -> Result<i64, String> {
        let at = sites.site(&owed);
        let (present, away): (Vec<_>, Vec<_>) =
            owed.into_iter().partition(|(person, _)| person.is_connected());
        let asked = Instant::now();
        let hear = |(person, why)| async move {
            let person: &mut Person = person;
            let frame = person.next_frame().await?;
            Ok::<_, String>((asked.elapsed(), person, why, frame))
        };
        let heard = join_all(present.into_iter().map(hear));
        let (answer, heard) = tokio::join!(self.who.post(&at.url, &self.path, self.body), heard);
        let answer = answer?;
        print::act(self.who, words, at.node.as_deref(), &answer);
        let ticket = answer.body["id"].as_i64().ok_or("the ticket has no id")?;
        let mut heard = heard.into_iter().collect::<Result<Vec<_>, _>>()?;
        heard.sort_by_key(|(after, ..)| *after);
        for (after, person, why, frame) in heard {
            check(person, &frame, event, ticket)?;
            print::heard(person, &frame, why, after);
        }
        for (person, _) in away {
            person.missed.push((event, ticket));
        }
        Ok(ticket)
    }
}

/// A user who has connected again must receive what happened meanwhile.
pub(super) async fn catch_up(person: &mut Person) -> Result<(), String> {
    for (event, ticket) in std::mem::take(&mut person.missed) {
        let frame = person.next_frame().await?;
        check(person, &frame, event, ticket)?;
        print::replayed(person, &frame);
    }
    Ok(())
}

fn check(person: &Person, frame: &Value, event: &str, ticket: i64) -> Result<(), String> {
    if frame["notification_type"] == event && frame["ticket"]["id"] == ticket {
        return Ok(());
    }
    Err(format!("{} was owed {event} and received {frame}", person.username))
}
