//! The story: each step is a request and the frames that must follow, with their recipients and
//! reasons.

use serde_json::json;

use super::act::{Act, Sites, catch_up};
use super::client::Person;
use super::compare::compare;
use super::print;

/// Where the steps of a story are asked.
type Hub<'a> = &'a (dyn Sites + Sync);

/// All users.
pub(super) struct Cast {
    pub(super) john: Person,
    pub(super) ada: Person,
    pub(super) sara: Person,
    pub(super) root: Person,
}

/// Plays the story at one hub.
///
/// # Errors
/// The first frame that was missing, duplicated or wrong.
pub(super) async fn play(mut cast: Cast, hub: Hub<'_>) -> Result<(), String> {
    for person in cast.all() {
        let first = person.connect().await?;
        print::connected(person, &first);
    }
    let ticket = cast.raise(hub).await?;
    cast.work(hub, ticket).await?;
    cast.ada.disconnect();
    print::away(&cast.ada);
    cast.reject(hub, ticket).await?;
    let first = cast.ada.connect().await?;
    print::back(&cast.ada, &first);
    catch_up(&mut cast.ada).await?;
    cast.finish_again(hub, ticket).await?;
    cast.approve(hub, ticket).await?;
    cast.hear_nothing_else().await?;
    cast.compare(&hub.site(&[]).url).await?;
    print::complete();
    Ok(())
}

impl Cast {
    /// The users in the order of their list.
    pub(super) fn of(people: Vec<Person>) -> Result<Self, String> {
        let [john, ada, sara, root] =
            <[Person; 4]>::try_from(people).map_err(|_| "the cast is not complete".to_owned())?;
        Ok(Self { john, ada, sara, root })
    }

    pub(super) fn all(&mut self) -> [&mut Person; 4] {
        [&mut self.john, &mut self.ada, &mut self.sara, &mut self.root]
    }

    /// John raises a ticket; returns it.
    pub(super) async fn raise(&mut self, hub: Hub<'_>) -> Result<i64, String> {
        let Self { john, ada, root, .. } = self;
        let ticket = json!({
            "title": "Homepage not loading",
            "description": "A white page since this morning.",
            "priority": "HIGH",
            "category": "BUG",
        });
        let act = Act::new(john, "/api/tickets/", ticket);
        let owed = [(ada, "an admin"), (root, "a super admin")];
        act.play(hub, "raises a ticket", "ticket_created", owed).await
    }

    /// Ada opens and assigns it, and Sara starts.
    pub(super) async fn work(&mut self, hub: Hub<'_>, id: i64) -> Result<(), String> {
        let Self { john, ada, sara, .. } = self;
        let open = Act::on(id, ada, "open", json!({}));
        let owed = [(&mut *john, "raised it")];
        open.play(hub, "takes note of it", "ticket_opened", owed).await?;
        let assign = Act::on(id, ada, "assign", json!({"developers": [sara.id]}));
        let owed = [(&mut *sara, "newly assigned")];
        assign.play(hub, "puts Sara on it", "ticket_assigned", owed).await?;
        let start = Act::on(id, sara, "start_work", json!({}));
        start.play(hub, "starts work", "work_started", [(john, "raised it")]).await?;
        Ok(())
    }

    /// Sara finishes, and John rejects what she has done.
    pub(super) async fn reject(&mut self, hub: Hub<'_>, id: i64) -> Result<(), String> {
        self.finish(hub, id, "says that it is done").await?;
        let Self { john, ada, sara, root } = self;
        let reject = Act::on(id, john, "reject", json!({"reason": "still white in Firefox"}));
        let owed = [(sara, "assigned"), (ada, "an admin"), (root, "a super admin")];
        reject.play(hub, "is not content", "ticket_rejected", owed).await?;
        Ok(())
    }

    pub(super) async fn finish_again(&mut self, hub: Hub<'_>, id: i64) -> Result<(), String> {
        let Self { john, sara, .. } = self;
        let start = Act::on(id, sara, "start_work", json!({}));
        start.play(hub, "starts again", "work_started", [(john, "raised it")]).await?;
        self.finish(hub, id, "says that it is done now").await
    }

    pub(super) async fn approve(&mut self, hub: Hub<'_>, id: i64) -> Result<(), String> {
        let Self { john, ada, sara, root } = self;
        let approve = Act::on(id, john, "approve", json!({}));
        let owed = [(sara, "assigned"), (ada, "an admin"), (root, "a super admin")];
        approve.play(hub, "is content", "ticket_approved", owed).await?;
        Ok(())
    }

    pub(super) async fn hear_nothing_else(&mut self) -> Result<(), String> {
        for person in self.all() {
            person.hears_nothing_else().await?;
        }
        Ok(())
    }

    /// Compares what each user has received with the inbox, as the node at that URL answers it;
    /// returns how many notifications these were.
    pub(super) async fn compare(&mut self, at: &str) -> Result<usize, String> {
        let mut count = 0;
        for person in self.all() {
            let inbox = person.inbox(at, person.known).await?;
            compare(&person.username, &person.heard, &inbox)?;
            count += inbox.len();
        }
        Ok(count)
    }

    async fn finish(&mut self, hub: Hub<'_>, id: i64, words: &str) -> Result<(), String> {
        let Self { john, ada, sara, root } = self;
        let finish = Act::on(id, sara, "finish_work", json!({}));
        let owed = [(john, "raised it"), (ada, "an admin"), (root, "a super admin")];
        finish.play(hub, words, "work_finished", owed).await?;
        Ok(())
    }
}
