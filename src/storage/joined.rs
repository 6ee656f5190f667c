//! Joined reads: while one query runs, the next callers gather, and one query answers all of them.
//!
//! A query for each caller takes a connection of the pool and two thread switches; when ten
//! thousand clients reconnect at once, that is most of their cost.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;

use bellpull_port::StoreError;
use tokio::sync::{mpsc, oneshot};

use super::supervised::caught;

/// Callers that may wait; more wait to be admitted.
const WAITING_MAX: usize = 4096;
/// Callers answered by one query.
const TOGETHER_MAX: usize = 1024;

type Reply<V> = oneshot::Sender<Result<Option<V>, StoreError>>;

/// Where rows of one kind are requested by id.
#[derive(Debug)]
pub(super) struct Joined<K, V> {
    queue: mpsc::Sender<(K, Reply<V>)>,
}

impl<K, V> Joined<K, V>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Starts the task that reads with `read`, which leaves out missing rows. Dropping this handle
    /// ends the task.
    pub(super) fn start<R, F>(read: R) -> Self
    where
        R: Fn(Vec<K>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<K, V>, StoreError>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer(read, waiting));
        Self { queue }
    }

    /// The row with that id.
    pub(super) async fn of(&self, key: K) -> Result<Option<V>, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.queue.send((key, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

async fn answer<K, V, R, F>(read: R, mut waiting: mpsc::Receiver<(K, Reply<V>)>)
where
    K: Copy + Eq + Hash + Send,
    V: Clone + Send,
    R: Fn(Vec<K>) -> F,
    F: Future<Output = Result<HashMap<K, V>, StoreError>>,
{
    let mut crowd = Vec::new();
    while waiting.recv_many(&mut crowd, TOGETHER_MAX).await > 0 {
        if caught("a joined read", answer_crowd(&read, &mut crowd)).await.is_none() {
            // The callers of this batch have their error; the next batch is read as usual.
            for (_, reply) in crowd.drain(..) {
                let _ = reply.send(Err(StoreError::Unavailable("a read has panicked".to_owned())));
            }
        }
    }
}

async fn answer_crowd<K, V, R, F>(read: &R, crowd: &mut Vec<(K, Reply<V>)>)
where
    K: Copy + Eq + Hash + Send,
    V: Clone + Send,
    R: Fn(Vec<K>) -> F,
    F: Future<Output = Result<HashMap<K, V>, StoreError>>,
{
    let mut found = read(crowd.iter().map(|(key, _)| *key).collect()).await;
    let mut callers: HashMap<K, usize> = HashMap::with_capacity(crowd.len());
    crowd.iter().for_each(|(key, _)| *callers.entry(*key).or_default() += 1);
    for (key, reply) in crowd.drain(..) {
        let left = callers.entry(key).and_modify(|left| *left -= 1).or_default();
        let row = found.as_mut().map_err(|error| error.clone()).map(|rows| match *left {
            0 => rows.remove(&key), // nearly always: no other caller asks for it
            _ => rows.get(&key).cloned(),
        });
        // A caller that no longer waits needs no answer.
        let _ = reply.send(row);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[tokio::test]
    async fn a_crowd_is_answered_by_few_queries_each_with_its_own() {
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&queries);
        let joined: Arc<Joined<u32, u32>> = Arc::new(Joined::start(move |keys: Vec<u32>| {
            counter.fetch_add(1, Relaxed);
            async move {
                let even = keys.into_iter().filter(|key| key % 2 == 0);
                Ok(even.map(|key| (key, key * 10)).collect())
            }
        }));
        let asks = (0..500_u32).map(|key| {
            let joined = Arc::clone(&joined);
            async move { (key, joined.of(key).await.unwrap()) }
        });
        for (key, row) in futures_util::future::join_all(asks).await {
            assert_eq!(row, (key % 2 == 0).then_some(key * 10));
        }
        // How many gather depends on the runtime; the test is that they do.
        assert!(queries.load(Relaxed) <= 50, "{queries:?}");
    }

    #[tokio::test]
    async fn all_who_ask_for_one_row_get_it() {
        let joined = Arc::new(Joined::start(async |keys: Vec<u32>| {
            Ok(keys.into_iter().map(|key| (key, key * 10)).collect())
        }));
        let asks = (0..300_u32).map(|nth| {
            let joined = Arc::clone(&joined);
            async move { (nth % 3, joined.of(nth % 3).await.unwrap()) }
        });
        for (key, row) in futures_util::future::join_all(asks).await {
            assert_eq!(row, Some(key * 10));
        }
    }

    /// A panic fails the callers of its own batch, whether it happens while the read is created or
    /// while it runs, and no later ones.
    #[tokio::test]
    async fn a_panic_fails_its_crowd_and_the_next_are_answered() {
        let joined: Joined<u32, u32> = Joined::start(|keys: Vec<u32>| {
            assert_ne!(keys[0], 1, "a mistake while the read is made");
            async move {
                assert_ne!(keys[0], 2, "a mistake while it runs");
                Ok(keys.into_iter().map(|key| (key, key)).collect())
            }
        });
        for key in [1, 2] {
            let failed = joined.of(key).await.unwrap_err();
            assert!(matches!(failed, StoreError::Unavailable(_)), "{failed}");
        }
        assert_eq!(joined.of(3).await.unwrap(), Some(3));
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_and_the_next_are_asked_again() {
        let is_down = Arc::new(AtomicUsize::new(1));
        let state = Arc::clone(&is_down);
        let joined: Joined<u32, u32> = Joined::start(move |keys: Vec<u32>| {
            let failed = state.swap(0, Relaxed) == 1;
            async move {
                match failed {
                    true => Err(StoreError::Unavailable("away".to_owned())),
                    false => Ok(keys.into_iter().map(|key| (key, key)).collect()),
                }
            }
        });
        assert!(joined.of(1).await.is_err());
        assert_eq!(joined.of(1).await.unwrap(), Some(1));
    }
}
