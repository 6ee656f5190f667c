//! What is reported of committed groups of writes: metrics, and steps of traces.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bellpull_port::slow::{Slow, SlowKind, SlowLog};
use bellpull_port::trace::{Trace, TraceSpan};
use opentelemetry::trace::SpanKind;

use bellpull_port::exemplars;

/// A group of so many writes was committed, and took this long from its beginning.
pub(super) fn committed(writes: usize, took: Duration) {
    let writes = u64::try_from(writes).unwrap_or(u64::MAX);
    metrics::counter!("bellpull_commits_total").increment(1);
    metrics::counter!("bellpull_commit_writes_total").increment(writes);
    metrics::histogram!("bellpull_commit_seconds").record(took.as_secs_f64());
}

/// The times of a committed group, for the slow log.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupTimes {
    /// For the database's locks: the one writer's of SQLite, rows of PostgreSQL.
    pub(super) locks: Duration,
    /// For its statements.
    pub(super) statements: Duration,
    /// For the confirmation that it is on the disk.
    pub(super) commit: Duration,
    /// What the metric shows.
    pub(super) whole: Duration,
}

/// Notes a committed group's trace beside its metric, and logs a group that took long, from its
/// oldest write's place in the queue.
pub(super) fn note_group(
    slow: &SlowLog,
    writes: usize,
    queue: Duration,
    times: GroupTimes,
    trace: &Trace,
) {
    let GroupTimes { locks, statements, commit, whole } = times;
    exemplars::note("bellpull_commit_seconds", &[], whole.as_secs_f64(), trace);
    slow.note(SlowKind::Commit, queue + locks + statements + commit, || Slow {
        what: format!("{writes} {}", if writes == 1 { "write" } else { "writes" }),
        waits: vec![
            ("queue", queue),
            ("locks", locks),
            ("statements", statements),
            ("commit", commit),
        ],
        status: None,
        trace: trace.traceparent(),
    });
}

/// A write's step of its request's trace, from its place in the queue to its answer.
#[derive(Debug)]
pub(super) struct WriteSpan {
    span: TraceSpan,
    shared: GroupTrace,
}

/// What the writer knows of a traced write: its trace, and where that of its group goes. `None`
/// for those that are not traced.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupTrace(Option<Arc<(Trace, OnceLock<Trace>)>>);

impl WriteSpan {
    /// That of the running task's request.
    pub(super) fn begin() -> Self {
        let span = Trace::current().span("write", SpanKind::Internal);
        let trace = span.trace();
        let shared = GroupTrace(trace.is_on().then(|| Arc::new((trace, OnceLock::new()))));
        Self { span, shared }
    }

    /// For the writer.
    pub(super) fn shared(&self) -> GroupTrace {
        self.shared.clone()
    }
}

impl Drop for WriteSpan {
    fn drop(&mut self) {
        if let Some(commit) = self.shared.0.as_ref().and_then(|shared| shared.1.get()) {
            self.span.link(commit);
        }
    }
}

/// The commit of a group, which many requests wait for: a trace of its own, linked with theirs.
pub(super) fn group_span(writes: &[GroupTrace]) -> TraceSpan {
    let traced = || writes.iter().filter_map(|write| write.0.as_deref());
    let mut span = TraceSpan::shared("commit", traced().map(|(trace, _)| trace.clone()));
    let commit = span.trace();
    for (_, slot) in traced() {
        // One that is tried again keeps its first commit.
        let _ = slot.set(commit.clone());
    }
    span.set("bellpull.writes", i64::try_from(writes.len()).unwrap_or(i64::MAX));
    span
}
