//! Limits that all nodes share, counted by Redis.
//!
//! One script ([`SCRIPT`]) asks all rules of a request in one step, by Redis' own clock. A bucket
//! is a small key that expires when the bucket is full again, so Redis holds the keys that were
//! used within that time: up to a minute for most limits, 45 minutes for mails to one address.
//!
//! A request adds at most two keys, of some 150 bytes each, and only after its node has admitted it
//! by its own count, which limits what strangers may do in all. A node admits 60 registrations a
//! minute (by default), 5 links by mail a second (a key of an address stays for 15 minutes: 4,500
//! keys), and some 50 passwords a second (keys of 5 s and 1 s: some 300; more for names and
//! networks that fail again and again). Other limits have keys for accounts alone.
//!
//! The keys of a group have one hash tag, and so one slot of a Redis Cluster. Names and addresses
//! are in them as a MAC only, with a key of the cluster: a copy of the database has other buckets.
//!
//! Redis has [`ANSWER_MAX`] for an answer. Past that, or after an error, it is not asked for
//! [`PAUSE`], so that a slow Redis does not make each request slow; while the broker is degraded it
//! is not asked at all. The node's own count decides then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellpull_port::BrokerState;
use bellpull_port::shared_limits::{RuleTurn, SharedLimits, SharedRule, Verdict};
use hmac::{Hmac, Mac};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::connection::{Current, Link, Server};
use super::seal::Cluster;

/// Asks the rules.
const SCRIPT: &str = include_str!("limits.lua");

/// How long Redis may take: on a local network it takes less than a millisecond, and a login holds
/// its turn meanwhile.
const ANSWER_MAX: Duration = Duration::from_millis(250);

/// How long Redis is not asked after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The bytes of a key's MAC: two keys never have the same.
const MAC_LEN: usize = 16;

/// The limits on a Redis.
#[derive(Debug)]
pub(super) struct RedisLimits {
    server: Arc<Server>,
    current: Current,
    /// Of a cluster: connections to the nodes that have the keys of a group.
    moved: Mutex<HashMap<&'static str, Link>>,
    state: watch::Receiver<BrokerState>,
    epoch: Box<str>,
    mac: Hmac<Sha256>,
    began_at: Instant,
    /// Until when Redis is not asked, in milliseconds since `began_at`.
    paused_until_ms: AtomicU64,
    is_failing: AtomicBool,
}

impl RedisLimits {
    /// On a connection of the broker, whose state is told.
    pub(super) fn new(
        (server, current): (Arc<Server>, Current),
        state: watch::Receiver<BrokerState>,
        cluster: &Cluster,
    ) -> Self {
        Self {
            server,
            current,
            moved: Mutex::default(),
            state,
            epoch: cluster.epoch().into(),
            mac: cluster.limits(),
            began_at: Instant::now(),
            paused_until_ms: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
        }
    }

    fn may_ask(&self) -> bool {
        *self.state.borrow() == BrokerState::Ok
            && self.current.get().is_some()
            && self.now_ms() >= self.paused_until_ms.load(Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn run(
        &self,
        group: &'static str,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> RedisResult<Vec<i64>> {
        let known = self.moved().get(group).cloned();
        let none = || RedisError::from((ErrorKind::Io, "there is no connection"));
        let link = known.or_else(|| self.current.get()).ok_or_else(none)?;
        let answer = evaluate(&link, &keys, &arguments).await;
        let Err(error) = answer else { return answer };
        self.moved().remove(group);
        let Some((address, _)) = error.redirect_node() else { return Err(error) };
        let link = self.server.connect_to(address).await?;
        self.moved().insert(group, link.clone());
        evaluate(&link, &keys, &arguments).await
    }

    fn moved(&self) -> MutexGuard<'_, HashMap<&'static str, Link>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a rule's bucket.
    fn key(&self, group: &str, rule: &SharedRule) -> String {
        let mut mac = self.mac.clone();
        for part in [group.as_bytes(), rule.name.as_bytes()] {
            mac.update(part);
            mac.update(b"\n"); // which is in no name
        }
        mac.update(&rule.key);
        let mac = mac.finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(mac.get(..MAC_LEN).unwrap_or_default());
        let (epoch, name) = (&self.epoch, rule.name);
        format!("bellpull:{{{epoch}:limit:{group}}}:{name}:{mac}")
    }

    fn failed(&self, problem: &str) {
        let pause_ms = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        self.paused_until_ms.store(self.now_ms().saturating_add(pause_ms), Relaxed);
        metrics::counter!("bellpull_shared_limits_unanswered_total").increment(1);
        if !self.is_failing.swap(true, Relaxed) {
            warn!(problem, "Redis does not count: each node has the limits for itself");
        }
    }

    fn succeeded(&self) {
        if self.is_failing.load(Relaxed) && self.is_failing.swap(false, Relaxed) {
            info!("Redis counts for all nodes again");
        }
    }
}

#[async_trait]
impl SharedLimits for RedisLimits {
    async fn ask(&self, group: &'static str, rules: &[SharedRule]) -> Option<Vec<Verdict>> {
        if rules.is_empty() || !self.may_ask() {
            return None;
        }
        let keys = rules.iter().map(|rule| self.key(group, rule)).collect();
        let arguments = rules.iter().flat_map(arguments).collect();
        let answer = tokio::time::timeout(ANSWER_MAX, self.run(group, keys, arguments)).await;
        match answer {
            Ok(Ok(answers)) if answers.len() == rules.len() => {
                self.succeeded();
                Some(answers.into_iter().map(verdict).collect())
            }
            Ok(Ok(_)) => {
                self.failed("an answer of another length");
                None
            }
            Ok(Err(error)) => {
                self.failed(&error.to_string());
                None
            }
            Err(_) => {
                self.failed("no answer in time");
                None
            }
        }
    }
}

/// One step of Redis; the script is sent along only if it does not know it.
async fn evaluate(link: &Link, keys: &[String], arguments: &[String]) -> RedisResult<Vec<i64>> {
    static HASH: LazyLock<String> =
        LazyLock::new(|| Sha1::digest(SCRIPT).iter().map(|byte| format!("{byte:02x}")).collect());
    let run = async |name: &str, script: &str| {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        Ok(redis::from_redis_value(link.run(&command).await?)?)
    };
    match run("EVALSHA", HASH.as_str()).await {
        Err(error) if is_unknown(&error) => run("EVAL", SCRIPT).await,
        answer => answer,
    }
}

/// Redis has not seen the script since its start.
fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn arguments(rule: &SharedRule) -> [String; 3] {
    let turn = match rule.turn {
        RuleTurn::Require => "require",
        RuleTurn::InsteadOfNext => "instead_of_next",
        RuleTurn::Count => "count",
        RuleTurn::GiveBack => "give_back",
    };
    // At least one: Lua would divide no time into tokens.
    let period_us = rule.quota.period().as_micros().max(1);
    [turn.to_owned(), period_us.to_string(), rule.quota.burst().to_string()]
}

fn verdict(answer: i64) -> Verdict {
    match u64::try_from(answer) {
        Ok(0) => Verdict::Admitted,
        Ok(wait_us) => Verdict::Refused(Duration::from_micros(wait_us)),
        Err(_) => Verdict::NotAsked,
    }
}
