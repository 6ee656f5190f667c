//! Answers that clients have not accepted yet: one budget of bytes for all of them.
//!
//! A large page is only built in its turn, from rows that are freed as they are written, and its
//! bytes stay in the budget until the kernel has accepted them: piece by piece, so sent bytes free
//! room immediately. If the budget is full, a few pages wait for room; the others are answered 503.
//! Small answers have a share of their own: they do not queue behind large ones.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use bellpull_domain::search::SEARCHES_AT_ONCE;
use bellpull_port::budget::{Budget, Room};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The size of a small answer: a page of 20 rows has some 10 KiB, and long texts 100 KiB.
const SMALL_MAX: usize = 256 * 1024;

/// Smaller answers are not counted: the kernel accepts them immediately, and there are at most as
/// many as connections.
pub const UNCOUNTED_MAX: usize = 16 * 1024;

/// Pages of each kind that are read and written at once: as many as the store has connections for
/// such reads.
const TURNS: [usize; 3] = [4, 2, SEARCHES_AT_ONCE];

/// Large answers that wait for room, complete; each may be several MiB.
const LARGE_WAITING_MAX: usize = 4;

/// Small answers that wait for room.
const SMALL_WAITING_MAX: usize = 64;

/// What the connection is given at once: as much as hyper buffers.
const FRAME_MAX: usize = 16 * 1024;

/// The size of the pieces in which an answer is written and freed, at least.
const PIECE: usize = 16 * 1024;

/// The kinds of pages. None waits for those of another kind.
#[derive(Debug, Clone, Copy, Default)]
pub enum Pages {
    /// Reads that are short whatever the size of the data.
    #[default]
    Short,
    Lists,
    Searches,
}

/// The budget. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Unsent {
    small: Part,
    large: Part,
    /// By [`Pages`].
    turns: [Arc<Semaphore>; 3],
    /// How much one user's answers may hold before the next page begins: a quarter of the total.
    pub share: usize,
}

#[derive(Debug, Clone)]
struct Part {
    budget: Budget,
    places: Arc<Semaphore>,
}

/// The right to read a page and to write its answer.
#[derive(Debug)]
pub struct Turn {
    own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Turn {
    /// `own`: among the user's pages; `all`: among those of all users.
    pub fn new(own: Option<OwnedSemaphorePermit>, all: OwnedSemaphorePermit) -> Self {
        Self { own, _all: all }
    }
}

impl Unsent {
    /// A budget of that many bytes, a quarter of it for small answers.
    pub fn new(bytes: usize) -> Self {
        let part = |bytes, waiting| Part {
            budget: Budget::new(bytes),
            places: Arc::new(Semaphore::new(waiting)),
        };
        Self {
            small: part(bytes / 4, SMALL_WAITING_MAX),
            large: part(bytes - bytes / 4, LARGE_WAITING_MAX),
            turns: TURNS.map(|turns| Arc::new(Semaphore::new(turns))),
            share: bytes / 4,
        }
    }

    /// Whether stalled connections should be closed soon.
    pub(crate) fn is_short(&self) -> bool {
        self.small.budget.is_short() || self.large.budget.is_short()
    }

    /// The next turn among all users.
    pub async fn turn(&self, pages: Pages) -> Option<OwnedSemaphorePermit> {
        let [short, lists, searches] = &self.turns;
        let turns = match pages {
            Pages::Short => short,
            Pages::Lists => lists,
            Pages::Searches => searches,
        };
        Arc::clone(turns).acquire_owned().await.ok()
    }

    fn part(&self, bytes: usize) -> &Part {
        if bytes <= SMALL_MAX { &self.small } else { &self.large }
    }

    /// Reserves room for an answer now.
    pub fn try_reserve(&self, bytes: usize) -> Option<Room> {
        self.part(bytes).budget.try_reserve(bytes)
    }

    /// Reserves room for a written page; `None` if too many wait for theirs. While it waits, the
    /// next page may be written.
    pub async fn reserve(&self, bytes: usize, turn: Option<Turn>) -> Option<Room> {
        let part = self.part(bytes);
        if let Some(room) = part.budget.try_reserve(bytes) {
            return Some(room);
        }
        let _place = part.places.try_acquire().ok()?;
        let _own = turn.and_then(|turn| turn.own);
        part.budget.reserve(bytes).await
    }
}

/// An answer as it is written: pieces that are freed one by one.
#[derive(Debug, Default)]
pub struct Pieces {
    done: Vec<Box<[u8]>>,
    last: Vec<u8>,
    bytes: usize,
}

impl Pieces {
    /// Appends to it.
    pub fn write(&mut self, more: impl FnOnce(&mut Vec<u8>)) {
        let before = self.last.len();
        more(&mut self.last);
        self.bytes += self.last.len() - before;
        if self.last.len() >= PIECE {
            self.done.push(std::mem::take(&mut self.last).into_boxed_slice());
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The body. Each of its pieces holds its part of the room, and what `hold` returns for its
    /// number of bytes, until it is sent.
    pub fn into_body<H>(mut self, room: Option<Room>, hold: impl Fn(usize) -> Option<H>) -> Body
    where
        H: Send + 'static,
    {
        self.done.push(self.last.into_boxed_slice());
        Body::new(Answer::new(self.done, room, hold))
    }
}

/// A complete body, within its reserved room.
pub fn within<H: Send + 'static>(
    room: Room,
    bytes: Bytes,
    hold: impl Fn(usize) -> Option<H>,
) -> Body {
    Body::new(Answer::new(vec![bytes], Some(room), hold))
}

/// The bytes of a complete body; `Err` if it is a stream.
pub async fn made(body: Body) -> Result<Bytes, Body> {
    if body.size_hint().exact().is_none() {
        return Err(body);
    }
    let collected = body.collect().await;
    Ok(collected.map(http_body_util::Collected::to_bytes).unwrap_or_default())
}

/// A body whose bytes are counted until the connection has written them.
#[derive(Debug)]
struct Answer {
    pieces: VecDeque<Bytes>,
    left: u64,
}

/// Bytes with what is released after them.
struct Counted<B, H> {
    bytes: B,
    _room: Option<Room>,
    _held: Option<H>,
}

impl<B: AsRef<[u8]>, H> AsRef<[u8]> for Counted<B, H> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Answer {
    fn new<B, H>(pieces: Vec<B>, mut room: Option<Room>, hold: impl Fn(usize) -> Option<H>) -> Self
    where
        B: AsRef<[u8]> + Send + 'static,
        H: Send + 'static,
    {
        let count = |bytes: B| {
            let length = bytes.as_ref().len();
            let _room = room.as_mut().and_then(|room| room.split(length));
            let _held = hold(length);
            Bytes::from_owner(Counted { bytes, _room, _held })
        };
        let pieces: VecDeque<Bytes> = pieces.into_iter().map(count).collect();
        let left = pieces.iter().map(Bytes::len).sum::<usize>();
        Self { pieces, left: u64::try_from(left).unwrap_or(u64::MAX) }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while let Some(piece) = self.pieces.front_mut() {
            if piece.is_empty() {
                self.pieces.pop_front();
                continue;
            }
            let frame = piece.split_to(piece.len().min(FRAME_MAX));
            self.left = self.left.saturating_sub(u64::try_from(frame.len()).unwrap_or(u64::MAX));
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_makes_room_while_the_rest_waits() {
        let unsent = Unsent::new(1 << 20);
        let mut pieces = Pieces::default();
        for _ in 0..4 {
            pieces.write(|out| out.extend_from_slice(&[b'x'; PIECE]));
        }
        pieces.write(|out| out.extend_from_slice(b"end"));
        let bytes = pieces.bytes();
        assert_eq!(bytes, 4 * PIECE + 3);
        let room = unsent.reserve(bytes, None).await;
        let free = || unsent.small.budget.try_reserve(1 << 18).map_or(0, |room| room.bytes());
        assert_eq!(free(), 0);
        let mut body = pieces.into_body(room, |_| None::<()>);
        assert_eq!(body.size_hint().exact(), Some(bytes as u64));
        for _ in 0..4 {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(frame.len(), FRAME_MAX);
        }
        assert!(unsent.small.budget.try_reserve((1 << 18) - 3).is_some(), "three bytes are left");
        drop(body);
        assert_eq!(free(), 1 << 18);
    }

    #[tokio::test]
    async fn large_answers_leave_room_for_small_ones_and_few_wait() {
        let unsent = Unsent::new(4 << 20);
        let large = unsent.reserve(3 << 20, None).await.unwrap();
        assert!(unsent.is_short());
        assert!(unsent.try_reserve(SMALL_MAX).is_some(), "small ones have a part of their own");
        let waiting: Vec<_> = (0..LARGE_WAITING_MAX)
            .map(|_| {
                let unsent = unsent.clone();
                tokio::spawn(async move { unsent.reserve(SMALL_MAX + 1, None).await.is_some() })
            })
            .collect();
        while unsent.large.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(unsent.reserve(SMALL_MAX + 1, None).await.is_none(), "there is no place to wait");
        drop(large);
        for one in waiting {
            assert!(one.await.unwrap());
        }
    }
}
