//! The story: each step is a request and the frames that must follow, with their recipients and
//! reasons.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::Person;
use super::print;

/// All users.
pub(super) struct Cast {
    pub(super) john: Person,
    pub(super) ada: Person,
    pub(super) sara: Person,
    pub(super) root: Person,
}

/// A user who must receive a frame, and why.
type Owed<'a> = (&'a mut Person, &'static str);

/// Plays the story.
///
/// # Errors
/// The first frame that was missing, duplicated or wrong.
pub(super) async fn play(mut cast: Cast) -> Result<(), String> {
    for person in [&mut cast.john, &mut cast.ada, &mut cast.sara, &mut cast.root] {
        let first = person.connect().await?;
        print::connected(person, &first);
    }
    let ticket = raise(&mut cast).await?;
    work(&mut cast, ticket).await?;
    away_and_back(&mut cast, ticket).await?;
    second_round(&mut cast, ticket).await?;
    for person in [&mut cast.john, &mut cast.ada, &mut cast.sara, &mut cast.root] {
        person.hears_nothing_else().await?;
    }
    print::complete();
    Ok(())
}

async fn raise(cast: &mut Cast) -> Result<i64, String> {
    let Cast { john, ada, root, .. } = cast;
    let ticket = json!({
        "title": "Homepage not loading",
        "description": "A white page since this morning.",
        "priority": "HIGH",
        "category": "BUG",
    });
    let act = Act { who: john, path: "/api/tickets/".to_owned(), body: ticket };
    let owed = [(ada, "an admin"), (root, "a super admin")];
    act.play("raises a ticket", "ticket_created", owed).await
}

async fn work(cast: &mut Cast, id: i64) -> Result<(), String> {
    let Cast { john, ada, sara, .. } = cast;
    let open = Act::on(id, ada, "open", json!({}));
    open.play("takes note of it", "ticket_opened", [(&mut *john, "raised it")]).await?;
    let assign = Act::on(id, ada, "assign", json!({"developers": [sara.id]}));
    assign.play("puts Sara on it", "ticket_assigned", [(&mut *sara, "newly assigned")]).await?;
    let start = Act::on(id, sara, "start_work", json!({}));
    start.play("starts work", "work_started", [(john, "raised it")]).await?;
    Ok(())
}

async fn away_and_back(cast: &mut Cast, id: i64) -> Result<(), String> {
    let Cast { john, ada, sara, root } = cast;
    ada.disconnect();
    print::away(ada);
    let finish = Act::on(id, sara, "finish_work", json!({}));
    let owed = [(&mut *john, "raised it"), (&mut *root, "a super admin")];
    finish.play("says that it is done", "work_finished", owed).await?;
    let reject = Act::on(id, john, "reject", json!({"reason": "still white in Firefox"}));
    let owed = [(&mut *sara, "assigned"), (root, "a super admin")];
    reject.play("is not content", "ticket_rejected", owed).await?;
    let first = ada.connect().await?;
    print::back(ada, &first);
    for event in ["work_finished", "ticket_rejected"] {
        let frame = ada.next_frame().await?;
        check(ada, &frame, event, id)?;
        print::replayed(ada, &frame);
    }
    Ok(())
}

async fn second_round(cast: &mut Cast, id: i64) -> Result<(), String> {
    let Cast { john, ada, sara, root } = cast;
    let start = Act::on(id, sara, "start_work", json!({}));
    start.play("starts again", "work_started", [(&mut *john, "raised it")]).await?;
    let finish = Act::on(id, sara, "finish_work", json!({}));
    let owed = [(&mut *john, "raised it"), (&mut *ada, "an admin"), (&mut *root, "a super admin")];
    finish.play("says that it is done now", "work_finished", owed).await?;
    let approve = Act::on(id, john, "approve", json!({}));
    let owed = [(sara, "assigned"), (ada, "an admin"), (root, "a super admin")];
    approve.play("is content", "ticket_approved", owed).await?;
    Ok(())
}

/// A user's action.
struct Act<'a> {
    who: &'a Person,
    path: String,
    body: Value,
}

impl<'a> Act<'a> {
    fn on(ticket: i64, who: &'a Person, action: &str, body: Value) -> Self {
        Self { who, path: format!("/api/tickets/{ticket}/{action}/"), body }
    }

    /// Carries out the action and meanwhile awaits its frames: most arrive before the answer.
    /// Returns the ticket.
    async fn play<const N: usize>(
        self,
        words: &str,
        event: &str,
        owed: [Owed<'_>; N],
    ) -> Result<i64, String> {
        let asked = Instant::now();
        let hear = |(person, why)| async move {
            let person: &mut Person = person;
            let frame = person.next_frame().await?;
            Ok::<_, String>((asked.elapsed(), person, why, frame))
        };
        let heard = join_all(owed.map(hear));
        let (answer, heard) = tokio::join!(self.who.post(&self.path, self.body), heard);
        let answer = answer?;
        print::act(self.who, words, &answer);
        let ticket = answer.body["id"].as_i64().ok_or("the ticket has no id")?;
        let mut heard = heard.into_iter().collect::<Result<Vec<_>, _>>()?;
        heard.sort_by_key(|(after, ..)| *after);
        for (after, person, why, frame) in heard {
            check(person, &frame, event, ticket)?;
            print::heard(person, &frame, why, after);
        }
        Ok(ticket)
    }
}

fn check(person: &Person, frame: &Value, event: &str, ticket: i64) -> Result<(), String> {
    if frame["notification_type"] == event && frame["ticket"]["id"] == ticket {
        return Ok(());
    }
    Err(format!("{} was owed {event} and received {frame}", person.username))
}
