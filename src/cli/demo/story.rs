//! The story: each step is a request, and the frames that it owes to whom, and why.

use serde_json::{Value, json};

use super::client::{Answer, Person};
use super::print;

/// Everybody.
pub(super) struct Cast {
    pub(super) john: Person,
    pub(super) ada: Person,
    pub(super) sara: Person,
    pub(super) root: Person,
}

/// Somebody who is owed a frame, and why.
type Owed<'a> = (&'a mut Person, &'static str);

/// Plays it.
///
/// # Errors
/// The first frame that was missing, doubled or wrong.
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
    let answer = john.post("/api/tickets/", ticket).await?;
    let id = answer.body["id"].as_i64().ok_or("the ticket has no id")?;
    print::act(john, "raises a ticket", &answer);
    owed(&answer, "ticket_created", id, [(ada, "an admin"), (root, "a super admin")]).await?;
    Ok(id)
}

async fn work(cast: &mut Cast, id: i64) -> Result<(), String> {
    let Cast { john, ada, sara, .. } = cast;
    let answer = act(ada, id, "open", json!({}), "takes note of it").await?;
    owed(&answer, "ticket_opened", id, [(john, "raised it")]).await?;
    let developers = json!({"developers": [sara.id]});
    let answer = act(ada, id, "assign", developers, "puts Sara on it").await?;
    owed(&answer, "ticket_assigned", id, [(sara, "newly assigned")]).await?;
    let answer = act(sara, id, "start_work", json!({}), "starts work").await?;
    owed(&answer, "work_started", id, [(john, "raised it")]).await
}

async fn away_and_back(cast: &mut Cast, id: i64) -> Result<(), String> {
    let Cast { john, ada, sara, root } = cast;
    ada.disconnect();
    print::away(ada);
    let answer = act(sara, id, "finish_work", json!({}), "says that it is done").await?;
    owed(&answer, "work_finished", id, [(&mut *john, "raised it"), (root, "a super admin")])
        .await?;
    let reason = json!({"reason": "still white in Firefox"});
    let answer = act(john, id, "reject", reason, "is not content").await?;
    owed(&answer, "ticket_rejected", id, [(sara, "assigned"), (root, "a super admin")]).await?;
    let first = ada.connect().await?;
    print::back(ada, &first);
    for event in ["work_finished", "ticket_rejected"] {
        let frame = expect(ada, event, id).await?;
        print::replayed(ada, &frame);
    }
    Ok(())
}

async fn second_round(cast: &mut Cast, id: i64) -> Result<(), String> {
    let Cast { john, ada, sara, root } = cast;
    let answer = act(sara, id, "start_work", json!({}), "starts again").await?;
    owed(&answer, "work_started", id, [(&mut *john, "raised it")]).await?;
    let answer = act(sara, id, "finish_work", json!({}), "says that it is done now").await?;
    let all = [(&mut *john, "raised it"), (&mut *ada, "an admin"), (&mut *root, "a super admin")];
    owed(&answer, "work_finished", id, all).await?;
    let answer = act(john, id, "approve", json!({}), "is content").await?;
    let all = [(sara, "assigned"), (ada, "an admin"), (root, "a super admin")];
    owed(&answer, "ticket_approved", id, all).await
}

async fn act(
    who: &Person,
    id: i64,
    action: &str,
    body: Value,
    words: &str,
) -> Result<Answer, String> {
    let answer = who.post(&format!("/api/tickets/{id}/{action}/"), body).await?;
    print::act(who, words, &answer);
    Ok(answer)
}

/// Awaits the frames that an act owes, and shows each as it arrives.
async fn owed<'a, const N: usize>(
    answer: &Answer,
    event: &str,
    ticket: i64,
    to: [Owed<'a>; N],
) -> Result<(), String> {
    for (person, why) in to {
        let frame = expect(person, event, ticket).await?;
        print::heard(person, &frame, why, answer.asked.elapsed());
    }
    Ok(())
}

async fn expect(person: &mut Person, event: &str, ticket: i64) -> Result<Value, String> {
    let frame = person.next_frame().await?;
    if frame["notification_type"] == event && frame["ticket"]["id"] == ticket {
        return Ok(frame);
    }
    Err(format!("{} was owed {event} and received {frame}", person.username))
}
