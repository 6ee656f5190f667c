//! A provider: it receives webhooks, and has faults of its own.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::super::manner::Manner;
use crate::LoadError;

/// The largest request.
const REQUEST_MAX: usize = 256 * 1024;
/// The most headers of a request.
const HEADERS_MAX: usize = 32;
/// An answer later than this may be too late for the hub, which waits for 10 s.
const IN_TIME: Duration = Duration::from_secs(5);
/// How long nothing is accepted after an error: mostly there are too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Call {
    /// Its `Idempotency-Key`.
    pub(in super::super) key: String,
    /// Whose webhook it is.
    pub(in super::super) user: u64,
    /// The notification in its body.
    pub(in super::super) notification: Option<u64>,
    /// The same for the same bytes.
    pub(in super::super) body: u64,
    /// What the provider knows of its answer.
    pub(in super::super) answer: CallAnswer,
    /// Whether an earlier call with this key was accepted before this one came.
    pub(in super::super) is_repeat: bool,
}

/// What the provider knows of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum CallAnswer {
    /// None.
    Unknown,
    /// It was accepted, perhaps too late.
    Late,
    /// It was accepted.
    Accepted,
    /// It was refused for now.
    Refused,
}

/// The provider.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    manner: watch::Sender<Manner>,
    calls: Calls,
    listening: AbortHandle,
}

/// All calls, in the order in which they came. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    fn all(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls so far.
    pub(in super::super) fn so_far(&self) -> Vec<Call> {
        self.all().clone()
    }

    /// The users and notifications of which a call was accepted, perhaps too late.
    pub(in super::super) fn accepted(&self) -> HashSet<(u64, u64)> {
        let is_accepted =
            |call: &&Call| matches!(call.answer, CallAnswer::Accepted | CallAnswer::Late);
        let calls = self.all();
        let accepted = calls.iter().filter(is_accepted);
        accepted.filter_map(|call| Some((call.user, call.notification?))).collect()
    }

    /// Notes a call; its place.
    fn note(&self, call: Call) -> usize {
        let mut calls = self.all();
        let is_repeat =
            calls.iter().any(|one| one.key == call.key && one.answer == CallAnswer::Accepted);
        calls.push(Call { is_repeat, ..call });
        calls.len() - 1
    }

    fn answered(&self, call: usize, answer: CallAnswer) {
        if let Some(call) = self.all().get_mut(call) {
            call.answer = answer;
        }
    }
}

impl Receiver {
    /// A provider that accepts calls.
    ///
    /// # Errors
    /// No port is free.
    pub(super) async fn start() -> Result<Self, LoadError> {
        let failed = |error: std::io::Error| LoadError::failed(format!("receiver: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (manner, calls) = (watch::Sender::default(), Calls::default());
        let accepting = accept(listener, manner.subscribe(), calls.clone());
        let listening = tokio::spawn(accepting).abort_handle();
        Ok(Self { address, manner, calls, listening })
    }

    /// The URL of a user's webhook.
    pub(super) fn url(&self, user: u64) -> String {
        format!("http://{}/{user}", self.address)
    }

    /// From now on it behaves like this.
    pub(super) fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// All calls.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Its connections end with it.
async fn accept(listener: TcpListener, manner: watch::Receiver<Manner>, calls: Calls) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, manner.clone(), calls.clone()));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Answers the calls of one connection.
async fn serve(mut stream: TcpStream, manner: watch::Receiver<Manner>, calls: Calls) {
    let mut buffer = Vec::new();
    while let Some((call, length)) = next(&mut stream, &mut buffer).await {
        buffer.drain(..length);
        let place = calls.note(call);
        if !answer(&mut stream, manner.clone(), &calls, place).await {
            return;
        }
    }
}

/// The bytes are no call of a webhook.
struct NoCall;

/// The next call, and its length; `None` at the end of the connection.
async fn next(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(Call, usize)> {
    loop {
        match parse(buffer) {
            Ok(Some(found)) => return Some(found),
            Ok(None) if buffer.len() <= REQUEST_MAX => {}
            Ok(None) | Err(NoCall) => return None,
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The call at the start of the bytes, and its length, once it is there.
fn parse(bytes: &[u8]) -> Result<Option<(Call, usize)>, NoCall> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).map_err(|_| NoCall)? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|one| one.name.eq_ignore_ascii_case(name));
        found.and_then(|one| std::str::from_utf8(one.value).ok()).ok_or(NoCall)
    };
    let user = request.path.and_then(|path| path.trim_start_matches('/').parse().ok());
    let length = header("content-length")?.parse::<usize>().map_err(|_| NoCall)?;
    let end = head.saturating_add(length);
    let Some(body) = bytes.get(head..end) else { return Ok(None) };
    let json: Value = serde_json::from_slice(body).map_err(|_| NoCall)?;
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let call = Call {
        key: header("idempotency-key")?.to_owned(),
        user: user.ok_or(NoCall)?,
        notification: json["notification"].as_u64(),
        body: hasher.finish(),
        answer: CallAnswer::Unknown,
        is_repeat: false,
    };
    Ok(Some((call, end)))
}

/// Answers a call as the manner of now demands; whether the connection goes on.
async fn answer(
    stream: &mut TcpStream,
    mut manner: watch::Receiver<Manner>,
    calls: &Calls,
    place: usize,
) -> bool {
    let came = Instant::now();
    let now = *manner.borrow_and_update();
    let (text, means) = match now {
        Manner::Well => (text(200), CallAnswer::Accepted),
        Manner::Twice => (text(200).repeat(2), CallAnswer::Accepted),
        Manner::Busy => (text(429), CallAnswer::Refused),
        Manner::Down => (text(503), CallAnswer::Refused),
        Manner::Hang => {
            let _ = manner.changed().await; // its end ends this connection, too
            return false;
        }
        Manner::Late => {
            let _ = manner.changed().await;
            (text(200), CallAnswer::Accepted)
        }
        Manner::Cut | Manner::HalfAnswer => {
            if now == Manner::HalfAnswer {
                let _ = stream.write_all(b"HTTP/1.1 20").await;
            }
            let _ = stream.set_zero_linger();
            return false;
        }
    };
    let is_written = stream.write_all(text.as_bytes()).await.is_ok();
    if is_written {
        let is_late = came.elapsed() >= IN_TIME;
        calls.answered(place, if is_late { CallAnswer::Late } else { means });
    }
    is_written
}

fn text(status: u16) -> String {
    let retry = if status == 200 { "" } else { "Retry-After: 1\r\n" };
    format!("HTTP/1.1 {status} X\r\n{retry}Content-Length: 0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn called(receiver: &Receiver, key: &str, notification: u64) -> String {
        let mut stream = TcpStream::connect(receiver.address).await.unwrap();
        let body = format!(r#"{{"notification":{notification}}}"#);
        let request = format!(
            "POST /7 HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // In two parts, as a network may deliver it.
        let (first, second) = request.split_at(30);
        stream.write_all(first.as_bytes()).await.unwrap();
        stream.write_all(format!("{second}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn each_manner_answers_as_it_should_and_every_call_is_noted() {
        let receiver = Receiver::start().await.unwrap();
        for (manner, status) in [
            (Manner::Busy, "429"),
            (Manner::Down, "503"),
            (Manner::Cut, ""),
            (Manner::HalfAnswer, ""),
            (Manner::Well, "200"),
            (Manner::Twice, "200"),
        ] {
            receiver.set(manner);
            let text = called(&receiver, "delivery-1", 5).await;
            let found = text.split(' ').nth(1).filter(|_| text.contains("\r\n"));
            assert_eq!(found.unwrap_or_default(), status, "{manner:?}: {text}");
        }
        receiver.set(Manner::Hang);
        let hanging = called(&receiver, "delivery-2", 6);
        let end = async {
            while receiver.calls().so_far().len() < 7 {
                sleep(Duration::from_millis(5)).await;
            }
            receiver.set(Manner::Well);
        };
        let (hanging, ()) = tokio::join!(hanging, end);
        assert_eq!(hanging, "");
        let calls = receiver.calls().so_far();
        let answers: Vec<CallAnswer> = calls.iter().map(|call| call.answer).collect();
        use CallAnswer::{Accepted, Refused, Unknown};
        let wanted = [Refused, Refused, Unknown, Unknown, Accepted, Accepted, Unknown];
        assert_eq!(answers, wanted);
        let repeats: Vec<bool> = calls.iter().map(|call| call.is_repeat).collect();
        assert_eq!(repeats, [false, false, false, false, false, true, false]);
        assert!(calls.iter().all(|call| call.user == 7));
        assert!(calls[0].body == calls[5].body && calls[0].body != calls[6].body);
        assert_eq!(receiver.calls().accepted(), HashSet::from([(7, 5)]));
    }
}
