//! A request to an actor whose outcome the caller always learns.
//!
//! With a plain reply port the caller does not know, when an actor stops, whether its request was
//! handled. A [`Call`] that is dropped unopened (the actor stopped before its turn, or dropped it
//! to refuse it) returns the request, so that it can be sent elsewhere. One that was opened and
//! never answered (the actor panicked or was killed while handling it) reports that.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::slow::{Wait, waiting};
use crate::trace::Trace;

/// The outcome of a request.
#[derive(Debug)]
pub enum CallOutcome<Q, A> {
    /// It was answered.
    Answered(A),
    /// It was certainly not handled: here it is again.
    Returned(Q),
    /// The actor died over it, or took too long: it may have been handled.
    Lost,
}

type Sealed<Q, A> = (Q, oneshot::Sender<CallOutcome<Q, A>>, Trace);

/// A request on its way to an actor, with its reply port.
#[derive(Debug)]
pub struct Call<Q, A> {
    /// In a box: it is one of many kinds of messages, and each actor has room for the largest.
    sealed: Option<Box<Sealed<Q, A>>>,
}

/// The reply port of an opened request.
#[derive(Debug)]
pub struct Reply<Q, A> {
    to: Option<oneshot::Sender<CallOutcome<Q, A>>>,
    trace: Trace,
}

/// The asker's end.
#[derive(Debug)]
pub struct Answer<Q, A>(oneshot::Receiver<CallOutcome<Q, A>>);

impl<Q, A> Call<Q, A> {
    /// Seals a question.
    #[must_use]
    pub fn new(question: Q) -> (Self, Answer<Q, A>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sealed: Some(Box::new((question, sender, Trace::current()))) }, Answer(receiver))
    }

    /// The request, until it is opened.
    #[must_use]
    pub fn question(&self) -> Option<&Q> {
        self.sealed.as_ref().map(|sealed| &sealed.0)
    }

    /// Opens it: from now on it counts as handled.
    ///
    /// Returns `None` when the asker no longer waits: then nothing needs to be done.
    #[must_use]
    pub fn open(mut self) -> Option<(Q, Reply<Q, A>)> {
        let (question, sender, trace) = *self.sealed.take()?;
        (!sender.is_closed()).then_some((question, Reply { to: Some(sender), trace }))
    }
}

impl<Q, A> Drop for Call<Q, A> {
    fn drop(&mut self) {
        if let Some(sealed) = self.sealed.take() {
            let (question, sender, _) = *sealed;
            let _ = sender.send(CallOutcome::Returned(question));
        }
    }
}

impl<Q, A> Reply<Q, A> {
    /// The asker's trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Answers. An asker that no longer waits is no error.
    pub fn send(mut self, answer: A) {
        if let Some(sender) = self.to.take() {
            let _ = sender.send(CallOutcome::Answered(answer));
        }
    }
}

impl<Q, A> Drop for Reply<Q, A> {
    fn drop(&mut self) {
        if let Some(sender) = self.to.take() {
            let _ = sender.send(CallOutcome::Lost);
        }
    }
}

impl<Q, A> Answer<Q, A> {
    /// Waits for the question's fate, at most so long.
    pub async fn within(self, limit: Duration) -> CallOutcome<Q, A> {
        match waiting(Wait::Actor, tokio::time::timeout(limit, self.0)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => CallOutcome::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn an_unopened_question_comes_back_and_an_opened_one_never_does() {
        let (call, answer) = Call::<&str, u8>::new("well?");
        drop(call);
        assert!(matches!(answer.within(LIMIT).await, CallOutcome::Returned("well?")));

        let (call, answer) = Call::<&str, u8>::new("well?");
        drop(call.open().unwrap());
        assert!(matches!(answer.within(LIMIT).await, CallOutcome::Lost));

        let (call, answer) = Call::<&str, u8>::new("well?");
        let (_, reply) = call.open().unwrap();
        reply.send(7);
        assert!(matches!(answer.within(LIMIT).await, CallOutcome::Answered(7)));
    }

    #[tokio::test]
    async fn an_abandoned_call_need_not_be_handled() {
        let (call, answer) = Call::<&str, u8>::new("well?");
        drop(answer);
        assert!(call.open().is_none());
    }
}
