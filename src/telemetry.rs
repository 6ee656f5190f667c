//! Logs, metrics, readiness.
