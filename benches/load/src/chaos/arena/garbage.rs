//! What nodes read from Redis that Redis did not mean.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::super::manner::Garbage;
use super::Arena;
use super::forger::Forger;
use super::lines::Lines;
use super::site::Backing;
use crate::LoadError;

/// How often garbage comes.
const EVERY: Duration = Duration::from_millis(150);
/// How many beginnings of arrays come at once: 12 KB.
const DEPTH: usize = 3_000;
/// The most random bytes at once.
const RANDOM_MAX: usize = 2_000;
/// How many messages a forger publishes at once.
const FORGED: usize = 8;

impl Arena<'_> {
    /// Redis babbles for a time.
    ///
    /// # Errors
    /// Redis could not be spoken to.
    pub(super) async fn babble(
        &mut self,
        what: Garbage,
        mut rng: Rng,
        time: Duration,
    ) -> Result<(), LoadError> {
        let end = Instant::now() + time;
        let users: Vec<u64> = self.people.listeners().map(|person| person.id).collect();
        loop {
            let words = match what {
                Garbage::Random => random(&mut rng),
                Garbage::Arrays => b"*1\r\n".repeat(DEPTH),
                Garbage::Attributes => b"|1\r\n".repeat(DEPTH),
                Garbage::LongText => b"$536870912\r\nx".to_vec(),
                Garbage::LongArray => b"*2147483647\r\n".to_vec(),
                Garbage::Forged | Garbage::Altered | Garbage::Repeated | Garbage::Noise => {
                    let redis = &self.services()?.redis;
                    let redis = (redis.pid().is_some(), redis.address(), redis.password());
                    // Another fault may have taken Redis away.
                    if let (true, address, password) = redis
                        && let Ok(mut forger) = Forger::open(address, password).await
                    {
                        let _ = forger.publish(what, FORGED, &users, &mut rng).await;
                    }
                    Vec::new()
                }
            };
            if !words.is_empty() {
                self.broker()?.say(&words);
            }
            if Instant::now() + EVERY > end {
                return Ok(());
            }
            self.pass(EVERY).await?;
        }
    }

    fn broker(&self) -> Result<&Lines, LoadError> {
        match &self.backing {
            Backing::Services { broker, .. } => Ok(broker),
            Backing::File => Err(LoadError::failed("one node has no services")),
        }
    }
}

/// Random bytes, which begin as an answer does.
fn random(rng: &mut Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..rng.usize(1..RANDOM_MAX)).map(|_| rng.u8(..)).collect();
    let kinds = *b"+-:$*_#,(!=%~>|\x00";
    bytes[0] = kinds[rng.usize(..kinds.len())];
    bytes
}
