//! The writer's queue and its order.
//!
//! Requests with a waiting caller go first, as many as fit in one group. Requests of low priority
//! (the next chunk of a send, the next step of retention, the channels' leases and outcomes) are
//! written one by one, between two groups: a new request waits for one of them at most, and they
//! never starve. The requests of all channels count as one of them, up to a group's size.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};

use super::{Request, WriterMessage};

/// Requests of one transaction; one that writes for many recipients counts for as many. More would
/// gain nothing, and keep the first one waiting.
const GROUP_MAX: usize = 512;

/// Queued requests.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Receiver<WriterMessage>,
    /// They are few: each of their callers waits for its end.
    low_priority: VecDeque<Request>,
    is_low_priority_turn: bool,
    /// Callers that wait for the end.
    closing: Vec<oneshot::Sender<()>>,
}

impl Queue {
    pub(super) fn new(waiting: mpsc::Receiver<WriterMessage>) -> Self {
        let (low_priority, closing) = (VecDeque::new(), Vec::new());
        Self { waiting, low_priority, is_low_priority_turn: false, closing }
    }

    /// The next group: everything queued, without waiting for more than one. `None` once it is
    /// closed and everything is written.
    pub(super) fn next(&mut self) -> Option<Vec<Request>> {
        loop {
            if std::mem::take(&mut self.is_low_priority_turn) {
                let group = self.low_priority_requests();
                if !group.is_empty() {
                    return Some(group);
                }
            }
            let first = match self.low_priority.is_empty() {
                true => Some(self.waiting.blocking_recv()?),
                false => self.waiting.try_recv().ok(),
            };
            let group = self.gather(first);
            self.is_low_priority_turn = true;
            if !group.is_empty() {
                return Some(group);
            }
        }
    }

    /// The first request of low priority; with a channel's, the other requests of channels.
    fn low_priority_requests(&mut self) -> Vec<Request> {
        let Some(first) = self.low_priority.pop_front() else { return Vec::new() };
        if !first.write.is_outbox() {
            return vec![first];
        }
        let mut rows = first.write.rows();
        let mut group = vec![first];
        for request in std::mem::take(&mut self.low_priority) {
            if request.write.is_outbox() && rows < GROUP_MAX {
                rows += request.write.rows();
                group.push(request);
            } else {
                self.low_priority.push_back(request);
            }
        }
        group
    }

    fn gather(&mut self, first: Option<WriterMessage>) -> Vec<Request> {
        let (mut group, mut rows) = (Vec::new(), 0);
        let mut next = first;
        while let Some(message) = next {
            match message {
                WriterMessage::Request(request) if request.write.can_wait() => {
                    self.low_priority.push_back(request);
                }
                WriterMessage::Request(request) => {
                    rows += request.write.rows();
                    group.push(request);
                }
                WriterMessage::Close(reply) => {
                    self.waiting.close();
                    self.closing.push(reply);
                }
            }
            next = (rows < GROUP_MAX).then(|| self.waiting.try_recv().ok()).flatten();
        }
        group
    }

    /// Callers that wait for the end.
    pub(super) fn into_closing(self) -> Vec<oneshot::Sender<()>> {
        self.closing
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bellpull_domain::ids::SendId;
    use bellpull_domain::routing::Channel;
    use bellpull_port::LeaseOwner;
    use jiff::Timestamp;

    use super::super::super::super::commits::GroupTrace;
    use super::super::super::leases::Lease;
    use super::super::Write;
    use super::*;

    fn ask(queue: &mpsc::Sender<WriterMessage>, writes: Vec<Write>) {
        for write in writes {
            let (reply, _) = oneshot::channel();
            let (trace, queued) = (GroupTrace::default(), Instant::now());
            let request = Request { write, reply, trace, queued };
            queue.blocking_send(WriterMessage::Request(request)).unwrap();
        }
    }

    fn chunk() -> Write {
        let (owner, now) = (LeaseOwner::new("a", Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
        Write::ContinueSends { owner, ids: vec![SendId(1)], rows: 512, now }
    }

    fn shape(group: Option<Vec<Request>>) -> Option<(usize, bool)> {
        group.map(|group| (group.len(), group.iter().any(|one| one.write.can_wait())))
    }

    #[test]
    fn what_can_wait_goes_alone_between_groups_of_others() {
        let (asking, waiting) = mpsc::channel(16);
        let mut queue = Queue::new(waiting);
        ask(&asking, vec![chunk(), Write::Ping, chunk(), Write::Ping]);
        assert_eq!(shape(queue.next()), Some((2, false)));
        ask(&asking, vec![Write::Ping]);
        assert_eq!(shape(queue.next()), Some((1, true)));
        assert_eq!(shape(queue.next()), Some((1, false)));
        assert_eq!(shape(queue.next()), Some((1, true)));
        let (reply, _) = oneshot::channel();
        ask(&asking, vec![chunk()]);
        asking.blocking_send(WriterMessage::Close(reply)).unwrap();
        assert_eq!(shape(queue.next()), Some((1, true)), "what waits when it is closed is written");
        assert_eq!(shape(queue.next()), None);
        assert_eq!(queue.into_closing().len(), 1);
    }

    #[test]
    fn what_channels_ask_for_goes_together_between_groups_of_others() {
        let (asking, waiting) = mpsc::channel(16);
        let mut queue = Queue::new(waiting);
        let lease = |most: u32| {
            let (now, until) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
            let owner = LeaseOwner::new("test", now);
            let (channel, limit) = (Channel::Email, most.into());
            Write::Lease(Lease { owner, channel, limit, now, until })
        };
        let small = || Write::Record(Vec::new());
        ask(&asking, vec![lease(500), chunk(), small(), lease(20), lease(20), Write::Ping]);
        assert_eq!(shape(queue.next()), Some((1, false)));
        assert_eq!(shape(queue.next()), Some((3, true)), "two leases, and a record of nothing");
        ask(&asking, vec![Write::Ping]);
        assert_eq!(shape(queue.next()), Some((1, false)));
        assert_eq!(shape(queue.next()), Some((1, true)), "a chunk alone");
        assert_eq!(shape(queue.next()), Some((1, true)), "what had no room");
    }

    #[test]
    fn a_group_has_its_bound() {
        let (asking, waiting) = mpsc::channel(1024);
        let mut queue = Queue::new(waiting);
        ask(&asking, (0..600).map(|_| Write::Ping).collect());
        assert_eq!(shape(queue.next()), Some((GROUP_MAX, false)));
        assert_eq!(shape(queue.next()), Some((600 - GROUP_MAX, false)));
    }
}
