//! A blocking keep-alive HTTP connection: requests are sent, and responses read when needed.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::LoadError;

/// The largest response.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// How much of a response is shown in an error.
const READ_MAX: usize = 160;

/// The advice for a hub that rejects requests because of its limits: few accounts write the load.
const LIMITED: &str = " (the hub limits what one account may write: for a load test start it with \
    BELLPULL_HTTP_WRITES_PER_S=0)";

/// Servers close idle connections; this one is replaced before that.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// A connection.
#[derive(Debug)]
pub struct Rest {
    stream: TcpStream,
    address: SocketAddr,
    host: String,
    patience: Duration,
    buffer: Vec<u8>,
    used_at: Instant,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the status is a success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The status and a part of the body, on one line.
    #[must_use]
    pub fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let words: Vec<&str> = body.split_whitespace().collect();
        let text: String = words.join(" ").chars().take(READ_MAX).collect();
        let hint = if self.status == 429 { LIMITED } else { "" };
        format!("{} {text}{hint}", self.status)
    }
}

impl Rest {
    /// Connects; each operation on it may take `patience`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn connect(address: SocketAddr, host: &str, patience: Duration) -> Result<Self, LoadError> {
        let stream = connect(address, patience)?;
        let (host, buffer, used_at) = (host.to_owned(), Vec::new(), Instant::now());
        Ok(Self { stream, address, host, patience, buffer, used_at })
    }

    /// Sends a request; [`Self::answer`] reads its response.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[String],
        body: &str,
    ) -> Result<(), LoadError> {
        if self.used_at.elapsed() > IDLE_MAX {
            self.stream = connect(self.address, self.patience)?;
        }
        self.used_at = Instant::now();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.stream
            .write_all(request.as_bytes())
            .map_err(|error| LoadError::Failed(format!("{method} {path}: {error}")))
    }

    /// The next response.
    ///
    /// # Errors
    /// It did not arrive, or is malformed.
    pub fn answer(&mut self) -> Result<Answer, LoadError> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some((answer, used)) = whole(&self.buffer)? {
                self.buffer.drain(..used);
                self.used_at = Instant::now();
                return Ok(answer);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(LoadError::failed("the server closed an HTTP connection")),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let seconds = self.patience.as_secs();
                    return Err(LoadError::Failed(format!("no answer within {seconds} s")));
                }
                Err(error) => return Err(LoadError::Failed(format!("no answer: {error}"))),
            }
        }
    }

    /// A request and its response.
    ///
    /// # Errors
    /// See [`Self::send`] and [`Self::answer`].
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[String],
        body: &str,
    ) -> Result<Answer, LoadError> {
        self.send(method, path, headers, body)?;
        self.answer()
    }
}

fn connect(address: SocketAddr, patience: Duration) -> Result<TcpStream, LoadError> {
    let failed = |error| LoadError::Failed(format!("{address}: {error}"));
    let stream = TcpStream::connect_timeout(&address, patience).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    stream.set_write_timeout(Some(patience)).map_err(failed)?;
    Ok(stream)
}

/// The response at the start of these bytes, once it is complete, and its length.
pub(crate) fn whole(bytes: &[u8]) -> Result<Option<(Answer, usize)>, LoadError> {
    let no_http = || LoadError::failed("the server's answer is no HTTP");
    if bytes.len() > ANSWER_MAX {
        return Err(LoadError::failed("the server's answer has no end"));
    }
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| no_http())?.to_ascii_lowercase();
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).ok_or_else(no_http)?;
    let begin = end + 4;
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value.trim()).next()
    };
    if header("transfer-encoding") == Some("chunked") {
        return Ok(chunks(bytes, begin).map(|(body, used)| (Answer { status, body }, used)));
    }
    let length = header("content-length").map_or(Ok(0), str::parse::<usize>);
    let length = length.map_err(|_| no_http())?;
    let body = bytes.get(begin..begin.saturating_add(length));
    Ok(body.map(|body| (Answer { status, body: body.to_vec() }, begin + length)))
}

/// A chunked body, once the last chunk has arrived, and where it ends.
fn chunks(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let line = memchr::memmem::find(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let begin = at + line + 2;
        body.extend_from_slice(bytes.get(begin..begin + size)?);
        at = begin + size + 2;
        bytes.get(..at)?;
        if size == 0 {
            return Some((body, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other() {
        let two = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 204 No\r\n\r\n";
        let (first, used) = whole(two).unwrap().unwrap();
        assert_eq!((first.status, first.body.as_slice(), used), (201, &b"abc"[..], 46));
        assert!(first.is_success());
        let page = Answer { status: 404, body: b"<html>\r\n <h1>Not\tFound</h1>\n".to_vec() };
        assert_eq!(page.text(), "404 <html> <h1>Not Found</h1>");
        let limited = Answer { status: 429, body: b"{}".to_vec() };
        assert!(limited.text().ends_with("start it with BELLPULL_HTTP_WRITES_PER_S=0)"));
        let (second, _) = whole(&two[used..]).unwrap().unwrap();
        assert_eq!((second.status, second.body.len()), (204, 0));
        for cut in 0..used {
            assert_eq!(whole(&two[..cut]).unwrap(), None, "{cut}");
        }
    }

    #[test]
    fn chunked_answers_are_put_together() {
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let (answer, used) = whole(text).unwrap().unwrap();
        assert_eq!((answer.body.as_slice(), used), (&b"abcde"[..], text.len()));
        for cut in 0..used {
            assert_eq!(whole(&text[..cut]).unwrap(), None, "{cut}");
        }
    }

    #[test]
    fn what_is_no_http_is_told() {
        assert!(whole(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
