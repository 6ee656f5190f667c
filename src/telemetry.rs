//! Logs, metrics, readiness.

/// Everything measured so far, in Prometheus' text format.
#[must_use]
pub fn render() -> String {
    todo!()
}
