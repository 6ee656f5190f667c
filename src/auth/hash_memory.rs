//! The memory for hashing passwords.
//!
//! Argon2 needs 19 MiB for each hash. The memory is allocated with the first hash and reused; it is
//! returned to the system after [`IDLE_MAX`] without a hash. A hub without logins has none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::{Block, Params};
use tokio::time::{Instant, sleep_until};

/// Blocks of one hash with today's parameters: 19 MiB.
const BLOCKS: usize = Params::DEFAULT.block_count();

/// Blocks that are reserved: 33 MiB of addresses, of which only those in use become resident.
///
/// An allocation above 32 MiB always has pages of its own, and freeing it unmaps them. Below that
/// glibc raises its threshold for such allocations whenever one is freed, takes the next from a
/// heap, and keeps what is freed there.
const RESERVED: usize = 33 * 1024;

/// How long the memory is kept after a hash. Filling it with pages again takes a few ms, which
/// matters only while logins follow each other.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The memory of one hash at a time. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct HashMemory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// Empty while a hash uses it, and while none is allocated.
    blocks: Vec<Block>,
    /// When it is returned to the system.
    idle_at: Option<Instant>,
    /// A task waits for that moment.
    is_watched: bool,
}

impl HashMemory {
    /// Runs a hash in at least `count` blocks, which contain data of an earlier hash.
    pub(super) fn with<T>(&self, count: usize, hash: impl FnOnce(&mut [Block]) -> T) -> T {
        let mut blocks = std::mem::take(&mut self.lock().blocks);
        // A hash with other parameters may need more.
        let needed = count.max(BLOCKS);
        if blocks.capacity() < needed {
            blocks = Vec::with_capacity(needed.max(RESERVED));
        }
        blocks.resize(blocks.len().max(needed), Block::new());
        let result = hash(&mut blocks);
        if needed == BLOCKS {
            self.keep(blocks);
        }
        result
    }

    fn keep(&self, blocks: Vec<Block>) {
        let mut kept = self.lock();
        kept.blocks = blocks;
        kept.idle_at = Some(Instant::now() + IDLE_MAX);
        // Without a runtime this is a command that ends soon.
        if !kept.is_watched
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            kept.is_watched = true;
            runtime.spawn(self.clone().give_back());
        }
    }

    /// Frees the memory once it has been idle for long enough.
    async fn give_back(self) {
        while let Some(idle_at) = self.free_if_idle() {
            sleep_until(idle_at).await;
        }
    }

    /// When to check again; `None` once the memory is freed.
    fn free_if_idle(&self) -> Option<Instant> {
        let mut kept = self.lock();
        let idle_at = kept.idle_at.filter(|idle_at| Instant::now() < *idle_at);
        if idle_at.is_none() {
            kept.blocks = Vec::new();
            kept.is_watched = false;
        }
        idle_at
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The resident memory of this process, in KiB; `None` where the system does not tell.
    fn resident_kib() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_reused_and_given_back_when_idle() {
        let memory = HashMemory::default();
        let place = |memory: &HashMemory| memory.with(1, |blocks| blocks.as_ptr().addr());
        place(&memory); // what else the first hash allocates
        tokio::time::sleep(IDLE_MAX * 2).await;
        let Some(before) = resident_kib() else { return };
        // A second time: an allocator may treat the second allocation in another way.
        for _ in 0..3 {
            let first = place(&memory);
            assert_eq!(place(&memory), first);
            assert!(resident_kib().unwrap() > before + 17 * 1024, "it is in use");
            tokio::time::sleep(IDLE_MAX / 2).await;
            place(&memory);
            tokio::time::sleep(IDLE_MAX * 2 / 3).await;
            assert!(!memory.lock().blocks.is_empty(), "it was used since");
            tokio::time::sleep(IDLE_MAX).await;
            let after = resident_kib().unwrap();
            assert!(after < before + 4 * 1024, "{} KiB are kept", after.saturating_sub(before));
        }
    }

    #[tokio::test]
    async fn a_larger_hash_has_its_room_and_leaves_none() {
        let memory = HashMemory::default();
        assert_eq!(memory.with(40 * 1024, |blocks| blocks.len()), 40 * 1024);
        assert!(memory.lock().blocks.is_empty());
        assert_eq!(memory.with(8, |blocks| blocks.len()), BLOCKS);
    }
}
