//! A PostgreSQL and a Redis of the test's own, which it may stop and kill.

use bellpull_load::LoadError;
use bellpull_load::cluster::{Services, ServicesOptions};

use super::skip::skipped;

/// Services that the test may stop and kill; `None` if they are not installed.
pub async fn services() -> Option<Services> {
    match Services::start(ServicesOptions { is_durable: false }).await {
        Err(LoadError::Failed(text)) if text.contains("apt-get install") => {
            skipped(&text);
            None
        }
        started => Some(started.unwrap()),
    }
}
