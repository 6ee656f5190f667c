//! Limits that several nodes of a test share, in memory and by the runtime's clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::shared_limits::{RuleTurn, SharedLimits, SharedRule, Verdict};

type Bucket = (&'static str, &'static str, Vec<u8>);

/// The limits; every node has the same one.
#[derive(Debug, Default)]
pub struct FakeLimits {
    /// When each bucket is full again.
    full_at: Mutex<HashMap<Bucket, Instant>>,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl FakeLimits {
    /// With every bucket full.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether it answers from now on.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Relaxed);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

#[async_trait]
impl SharedLimits for FakeLimits {
    async fn ask(&self, group: &'static str, rules: &[SharedRule]) -> Option<Vec<Verdict>> {
        self.asked.fetch_add(1, Relaxed);
        if self.is_away.load(Relaxed) {
            return None;
        }
        let now = Instant::now();
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdicts = vec![Verdict::NotAsked; rules.len()];
        let mut skips = false;
        for (rule, verdict) in rules.iter().zip(&mut verdicts) {
            if std::mem::take(&mut skips) {
                continue;
            }
            let full_at = all.entry((group, rule.name, rule.key.clone())).or_insert(now);
            let (period, ahead) = (rule.quota.period(), full_at.saturating_duration_since(now));
            if rule.turn == RuleTurn::GiveBack {
                *full_at = now + ahead.saturating_sub(period);
                *verdict = Verdict::Admitted;
                continue;
            }
            let wait = ahead.saturating_sub(period * (rule.quota.burst() - 1));
            if wait.is_zero() {
                *full_at = now + ahead + period;
                *verdict = Verdict::Admitted;
                skips = rule.turn == RuleTurn::InsteadOfNext;
                continue;
            }
            *verdict = Verdict::Refused(wait);
            if rule.turn == RuleTurn::Require {
                break;
            }
        }
        Some(verdicts)
    }
}
