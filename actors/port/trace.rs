//! Traces: one request followed over its actor, its commit, the frames and the deliveries.
//!
//! Whether a request is traced is decided once, where it comes in; what is not traced costs a look
//! at a `None`. A [`Trace`] travels by three ways: it is the current one of a task
//! ([`Trace::within`]), a [`crate::call::Call`] brings the asker's to an actor, and the content of
//! a message keeps the one that it comes from ([`bellpull_domain::message_trace::MessageTrace`]):
//! frames and deliveries of other tasks, later, find it there.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{
    Link, Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt,
};
use opentelemetry::{Context, KeyValue, Value};

/// The instrumentation scope of all spans.
const SCOPE: &str = "bellpull";

tokio::task_local! {
    static CURRENT: Trace;
}

/// A place in a trace; most work has none.
#[derive(Debug, Clone, Default)]
pub struct Trace(Option<Arc<SpanContext>>);

impl From<Option<Arc<SpanContext>>> for Trace {
    fn from(context: Option<Arc<SpanContext>>) -> Self {
        Self(context)
    }
}

impl Trace {
    /// The place itself: what a message keeps of it.
    #[must_use]
    pub fn context(&self) -> Option<Arc<SpanContext>> {
        self.0.clone()
    }

    /// That of the running task.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs work that belongs to it.
    pub async fn within<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A step of it, from now until it is dropped.
    pub fn span(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> TraceSpan {
        match &self.0 {
            Some(parent) => begin(SpanBuilder::from_name(name).with_kind(kind), Some(parent)),
            None => TraceSpan(None),
        }
    }

    /// Its id and the id of the place in it, as hexadecimal digits.
    #[must_use]
    pub fn ids(&self) -> Option<(String, String)> {
        let context = self.0.as_ref()?;
        Some((context.trace_id().to_string(), context.span_id().to_string()))
    }

    /// As the `traceparent` header that another system goes on from.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let context = self.0.as_ref()?;
        Some(format!("00-{}-{}-01", context.trace_id(), context.span_id()))
    }
}

/// A step of a trace, which ends when it is dropped; or nothing, where nothing is traced.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct TraceSpan(Option<Box<BoxedSpan>>);

impl TraceSpan {
    /// Nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The first step of a trace, or of this system's part of it.
    pub fn root(
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: Option<&SpanContext>,
    ) -> Self {
        begin(SpanBuilder::from_name(name).with_kind(kind), parent)
    }

    /// A trace of its own for work that several traces wait for.
    pub fn shared(name: &'static str, traces: impl Iterator<Item = Trace>) -> Self {
        let contexts = traces.filter_map(|trace| trace.0);
        let links: Vec<Link> =
            contexts.map(|context| Link::with_context((*context).clone())).collect();
        match links.is_empty() {
            true => Self(None),
            false => begin(SpanBuilder::from_name(name).with_links(links), None),
        }
    }

    /// What steps within this one belong to.
    #[must_use]
    pub fn trace(&self) -> Trace {
        Trace(self.0.as_ref().map(|span| Arc::new(span.span_context().clone())))
    }

    /// Adds a fact.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// It has failed.
    pub fn fail(&mut self, why: impl FnOnce() -> String) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(why()));
        }
    }

    /// Points to another trace's step.
    pub fn link(&mut self, to: &Trace) {
        if let (Some(span), Some(context)) = (&mut self.0, &to.0) {
            span.add_link((**context).clone(), Vec::new());
        }
    }
}

fn begin(builder: SpanBuilder, parent: Option<&SpanContext>) -> TraceSpan {
    let context = match parent {
        Some(parent) => Context::new().with_remote_span_context(parent.clone()),
        None => Context::new(),
    };
    TraceSpan(Some(Box::new(builder.start_with_context(&global::tracer(SCOPE), &context))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_without_a_trace_has_no_spans() {
        assert!(!Trace::current().is_on());
        let mut span = Trace::current().span("ticket", SpanKind::Internal);
        span.set("a", 1);
        span.fail(|| unreachable!());
        assert!(!span.trace().is_on());
        assert_eq!(span.trace().traceparent(), None);
        let shared = TraceSpan::shared("commit", [Trace::default()].into_iter());
        assert!(!shared.trace().is_on());
    }

    #[tokio::test]
    async fn a_trace_is_the_current_one_within_its_work_alone() {
        let span = TraceSpan::root("POST", SpanKind::Server, None);
        let wanted = span.trace().traceparent();
        assert!(wanted.is_some());
        let found = span.trace().within(async { Trace::current().traceparent() }).await;
        assert_eq!(found, wanted);
        assert!(!Trace::current().is_on());
        let elsewhere =
            span.trace().within(async { tokio::spawn(async { Trace::current().is_on() }).await });
        assert!(!elsewhere.await.unwrap(), "another task has its own");
    }
}
