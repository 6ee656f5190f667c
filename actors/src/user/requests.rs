//! A user actor's handling of its sessions' requests.

use jiff::Timestamp;
use ractor::ActorRef;

use super::asking::{Outcome, refused};
use super::own::Own;
use super::session::{SessionState, Warning};
use super::{UserEntity, UserShared, UserState};
use crate::marking::Marking;
use crate::messages::UserMessage;
use crate::vitals::Handle;
use bellpull_domain::ids::{NotificationId, Seq, UserId};
use bellpull_domain::inbox::{Change, Head, Mark, Marked};
use bellpull_domain::ticket::Caller;
use bellpull_port::inbox::{NotificationFilter, Selection};
use bellpull_port::outlet::Outgoing;
use bellpull_port::rate::retry_after_ms;
use bellpull_port::session::{Answer, Ask, Asked, NotRenewed, Renewal, Tag, Token};
use bellpull_port::{Slice, StoreError, in_time};

/// When a request that failed temporarily may be retried.
const RETRY_MS: u32 = 1_000;

/// Queues a request.
pub(super) fn asked(session: &mut SessionState, asked: Box<Asked>) {
    // An acknowledgement is not carried out, it is so: it never waits.
    if let Ask::Ack(seq) = asked.ask {
        session.ack(seq);
        if asked.tag.is_some() {
            session.push(Outgoing::Answer { asked: &asked, answer: &Answer::Done });
        }
        return;
    }
    if let Err(asked) = session.ask(asked) {
        let answer = refused("busy", "Too many requests wait for their answers.", Some(RETRY_MS));
        session.push(Outgoing::Answer { asked: &asked, answer: &answer });
    }
}

impl UserEntity {
    /// Begins every session's next request, where the one before has been answered.
    pub(super) fn go_on(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        state.is_asking = false;
        for index in 0..state.sessions.len() {
            // Nothing is sent before the greeting, and a stream's events are not answers.
            while state.sessions[index].is_greeted
                && let Some(asked) = state.sessions[index].next_ask()
            {
                let ask = asked.ask.clone();
                let Some(answer) = self.carry_out(myself, index, ask, state) else { break };
                state.sessions[index].done(Outcome::now(answer));
            }
            state.is_asking |= state.sessions[index].is_asking();
        }
    }

    /// Carries a request out; `None` if a task does and casts [`Own::Done`].
    fn carry_out(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        ask: Ask,
        state: &mut UserState,
    ) -> Option<Answer> {
        let (own, user) = (state.own(myself), state.id);
        let session = state.sessions[index].id;
        if let Err(throttled) = self.admit(&ask, state) {
            return Some(throttled);
        }
        match ask {
            Ask::Mark { selection, mark } => {
                let (shared, now) = (self.shared(), self.shared.clock.now());
                let asked_at = state.sessions[index].position();
                tokio::spawn(async move {
                    let rows = Rows { user, selection, mark, asked_at };
                    shared.mark(rows, now, &own, session).await;
                });
                None
            }
            Ask::List { limit, offset } => {
                let shared = self.shared();
                tokio::spawn(async move {
                    let listed =
                        in_time(shared.list(user, Slice { offset: i64::from(offset), limit }))
                            .await;
                    done(&own, session, Outcome::now(listed.unwrap_or_else(|_| unavailable())));
                });
                None
            }
            Ask::Send(note) => {
                // A session has an account: its actor gets both together.
                let Some(account) = state.account.clone() else { return Some(unavailable()) };
                let shared = self.shared();
                tokio::spawn(async move {
                    let answer = match shared.sends.send_note(&Caller::from(&*account), *note).await
                    {
                        Ok(notification) => Answer::Sent { notification },
                        Err(refusal) => refusal.into(),
                    };
                    done(&own, session, Outcome::now(answer));
                });
                None
            }
            Ask::Subscribe(stream) => self.watch(myself, index, stream, state),
            Ask::Unsubscribe(stream) => Some(super::streams::unwatch(index, stream, state)),
            Ask::Viewing { stream, ticket } => {
                Some(super::streams::view(index, stream, ticket, self.shared.clock.now(), state))
            }
            Ask::Typing { stream, ticket, is_typing } => {
                Some(super::streams::type_on(index, stream, (ticket, is_typing), state))
            }
            // Done when it was received.
            Ask::Ack(_) => Some(Answer::Done),
            // The edge, which verifies tokens, returns the result.
            Ask::Refresh(_) => Some(token_not_valid("This token was not looked at.".to_owned())),
        }
    }

    /// Counts a write against the account's limit, which REST shares.
    fn admit(&self, ask: &Ask, state: &UserState) -> Result<(), Answer> {
        let writes = match ask {
            Ask::Mark { .. } | Ask::Send(_) => true,
            Ask::List { .. }
            | Ask::Ack(_)
            | Ask::Subscribe(_)
            | Ask::Unsubscribe(_)
            | Ask::Viewing { .. }
            | Ask::Typing { .. }
            | Ask::Refresh(_) => false,
        };
        let Some(account) = state.account.as_deref().filter(|_| writes) else { return Ok(()) };
        self.shared.writes.admit(state.id, &account.role).map_err(|wait| {
            let retry_after_ms = retry_after_ms(wait);
            let message = format!("Too many writes, try again in {retry_after_ms} ms.");
            refused("throttled", message, Some(retry_after_ms))
        })
    }

    /// A session continues with another token, if it is its user's.
    pub(super) fn renewed(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        tag: Tag,
        renewal: Result<Renewal, NotRenewed>,
        state: &mut UserState,
    ) {
        let answer = match renewal {
            Err(NotRenewed::BadToken(problem)) => token_not_valid(problem),
            Err(NotRenewed::Busy) => {
                refused("busy", "Another token is being looked at.", Some(RETRY_MS))
            }
            Err(NotRenewed::Unavailable) => unavailable(),
            Ok(renewal) if renewal.user != state.id => {
                token_not_valid("This token is another user's.".to_owned())
            }
            Ok(renewal) if renewal.expires_at <= self.shared.clock.now() => {
                token_not_valid("This token has expired.".to_owned())
            }
            Ok(renewal) => {
                let session = &mut state.sessions[index];
                session.rest.login = renewal.login;
                // A token that ends when the last one does brings no time: its client was warned,
                // and the timer runs. To warn again would have it renew again, without end.
                if session.rest.expires_at != renewal.expires_at {
                    session.rest.expires_at = renewal.expires_at;
                    session.rest.is_expiry_armed = false;
                    session.rest.warning = Warning::Unplanned;
                }
                Answer::Done
            }
        };
        let session = &mut state.sessions[index];
        let asked = Asked { tag, ask: Ask::Refresh(Token(Box::default())) };
        session.push(Outgoing::Answer { asked: &asked, answer: &answer });
        self.arm_expiry(myself, &state.vitals, session);
    }
}

/// Rows that are to be marked.
struct Rows {
    user: UserId,
    selection: Selection,
    mark: Mark,
    /// Where the session was that wants it.
    asked_at: Seq,
}

impl UserShared {
    /// Marks, answers the requesting session, and then tells all of the user's sessions of the last
    /// change: in this order, so that the answer is there to take the place of the change. A mark
    /// of many rows is several changes; of those before the last the requesting session is told
    /// too.
    async fn mark(&self, rows: Rows, now: Timestamp, own: &Handle<UserMessage>, session: u32) {
        let Rows { user, selection, mark, asked_at } = rows;
        // A single row is named by its id: whether it exists is part of the answer.
        let named = selection.single();
        let tell = |marked: Marked| self.users.tell(user, Change::Marked(marked));
        let (mut marking, mut told) = (Marking::new(user, selection, mark, now), None);
        loop {
            let mut changes = match marking.next(&*self.inboxes).await {
                Ok(Some(changes)) => changes,
                Ok(None) => break,
                Err(_) => return done(own, session, Outcome::now(unavailable())),
            };
            let last = if marking.is_over() { changes.pop() } else { None };
            for marked in changes {
                told = Some((marked.last, marked.unread_count));
                tell(marked);
            }
            if let Some(marked) = last {
                let (seq, unread_count) = (marked.last, marked.unread_count);
                let count = marking.count();
                let answer = Answer::Marked { count, is_found: true, unread_count, seq };
                done(own, session, Outcome::made(marked.first, seq, answer));
                return tell(marked);
            }
        }
        if let Some((seq, unread_count)) = told {
            let count = marking.count();
            let answer = Answer::Marked { count, is_found: true, unread_count, seq };
            return done(own, session, Outcome::at(seq, answer));
        }
        match in_time(self.unchanged(user, named, asked_at)).await {
            Ok((at, answer)) => {
                done(own, session, Outcome::at(at, answer));
                own.cast(UserMessage::Reached(at));
            }
            Err(_) => done(own, session, Outcome::now(unavailable())),
        }
    }

    /// The answer to a mark that changed nothing, and the position at which it is due.
    ///
    /// The rows had that state when the mark was tried, and may have been marked again since, so
    /// what the client is shown after the position of its request overrides the answer. What it was
    /// shown before it knows, or is shown before the answer.
    async fn unchanged(
        &self,
        user: UserId,
        named: Option<NotificationId>,
        asked_at: Seq,
    ) -> Result<(Seq, Answer), StoreError> {
        let is_found = match named {
            Some(id) => self.inboxes.notification(user, id).await?.is_some(),
            None => true,
        };
        let Head { last_seq, unread_count, .. } = self.inboxes.head(user).await?;
        let seq = asked_at.min(last_seq);
        Ok((last_seq, Answer::Marked { count: 0, is_found, unread_count, seq }))
    }

    async fn list(&self, user: UserId, slice: Slice) -> Result<Answer, StoreError> {
        let all = NotificationFilter::default();
        let page = self.inboxes.notifications(user, &all, slice).await?;
        let unread_count = self.inboxes.head(user).await?.unread_count;
        Ok(Answer::Listed { notifications: page.rows, total: page.count, unread_count })
    }
}

fn done(own: &Handle<UserMessage>, session: u32, outcome: Outcome) {
    let outcome = Box::new(outcome);
    own.cast(Own::Done { session, outcome }.into());
}

/// A request that was not carried out.
fn unavailable() -> Answer {
    refused("unavailable", "The hub cannot do this now.", Some(RETRY_MS))
}

fn token_not_valid(problem: String) -> Answer {
    refused("token_not_valid", problem, None)
}
