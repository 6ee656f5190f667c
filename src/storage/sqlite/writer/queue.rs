//! What waits to be written, and in which order.
//!
//! Whoever waits for an answer goes first, as many as there are in one group. What can wait (the
//! next chunk of a send, the next step through what is old) is written one by one, between two
//! groups: so whoever comes waits for one of them at most, and they are never forgotten over
//! others.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};

use super::{Letterbox, Request};

/// Requests of one transaction; one that writes for many recipients counts for as many. More gain
/// nothing by then, and keep the first waiting.
const GROUP_MAX: usize = 512;

/// Requests on their way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Receiver<Letterbox>,
    /// They are few: each of those who ask for such a thing waits for its end.
    patient: VecDeque<Request>,
    is_patients_turn: bool,
    /// Those who wait for the end.
    closing: Vec<oneshot::Sender<()>>,
}

impl Queue {
    pub(super) fn new(waiting: mpsc::Receiver<Letterbox>) -> Self {
        let (patient, closing) = (VecDeque::new(), Vec::new());
        Self { waiting, patient, is_patients_turn: false, closing }
    }

    /// The next group: what waits, without ever waiting for more than one. `None` once it is
    /// closed and all of it was written.
    pub(super) fn next(&mut self) -> Option<Vec<Request>> {
        loop {
            if std::mem::take(&mut self.is_patients_turn)
                && let Some(request) = self.patient.pop_front()
            {
                return Some(vec![request]);
            }
            let first = match self.patient.is_empty() {
                true => Some(self.waiting.blocking_recv()?),
                false => self.waiting.try_recv().ok(),
            };
            let group = self.gather(first);
            self.is_patients_turn = true;
            if !group.is_empty() {
                return Some(group);
            }
        }
    }

    fn gather(&mut self, first: Option<Letterbox>) -> Vec<Request> {
        let (mut group, mut rows) = (Vec::new(), 0);
        let mut next = first;
        while let Some(letter) = next {
            match letter {
                Letterbox::Request(request) if request.write.can_wait() => {
                    self.patient.push_back(request);
                }
                Letterbox::Request(request) => {
                    rows += request.write.rows();
                    group.push(request);
                }
                Letterbox::Close(reply) => {
                    self.waiting.close();
                    self.closing.push(reply);
                }
            }
            next = (rows < GROUP_MAX).then(|| self.waiting.try_recv().ok()).flatten();
        }
        group
    }

    /// Those who wait for the end.
    pub(super) fn into_closing(self) -> Vec<oneshot::Sender<()>> {
        self.closing
    }
}

#[cfg(test)]
mod tests {
    use bellpull_actors::domain::ids::SendId;
    use jiff::Timestamp;

    use super::super::Write;
    use super::*;

    fn ask(queue: &mpsc::Sender<Letterbox>, writes: Vec<Write>) {
        for write in writes {
            let (reply, _) = oneshot::channel();
            queue.blocking_send(Letterbox::Request(Request { write, reply })).unwrap();
        }
    }

    fn chunk() -> Write {
        Write::ContinueSends { ids: vec![SendId(1)], rows: 512, now: Timestamp::UNIX_EPOCH }
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
        asking.blocking_send(Letterbox::Close(reply)).unwrap();
        assert_eq!(shape(queue.next()), Some((1, true)), "what waits when it is closed is written");
        assert_eq!(shape(queue.next()), None);
        assert_eq!(queue.into_closing().len(), 1);
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
