//! Files that the hub reads again while it runs: certificates and keys.
//!
//! Reading may block for ever: a FIFO without a writer does, and so does a file of a network file
//! system whose server is away. Such a read must hold up neither the next one, which may find the
//! file replaced, nor the end of the process. So it runs on a thread of its own, which the runtime
//! does not wait for, and is given up after [`READ_MAX`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long a read may take: such files have a few KiB.
const READ_MAX: Duration = Duration::from_secs(5);

/// How many reads that were given up may hang. Past that none begins until one of them ends: a file
/// system that is away for hours would cost a thread each time.
const HANGING_MAX: usize = 4;

static HANGING: AtomicUsize = AtomicUsize::new(0);

/// A file's content, at most so many bytes.
///
/// # Errors
/// Those of the system, and what is no regular file, or larger.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let mut content = Vec::new();
    let read = File::open(path)?.take(bytes_max + 1).read_to_end(&mut content)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        Ok(content)
    } else {
        Err(io::Error::other(format!("is larger than {bytes_max} bytes")))
    }
}

/// Reads as `read` does, on a thread of its own.
///
/// # Errors
/// Why it did not end, as a text for the log.
pub async fn in_time<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    within(READ_MAX, read).await
}

async fn within<T: Send + 'static>(
    limit: Duration,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    if HANGING.load(SeqCst) >= HANGING_MAX {
        return Err(format!("not read: {HANGING_MAX} earlier reads of such files still hang"));
    }
    // Without a buffer: what is not received in time is not sent.
    let (done, result) = sync_channel(0);
    let run = move || {
        // Its reader has given up, and has counted this thread.
        if done.send(read()).is_err() {
            HANGING.fetch_sub(1, SeqCst);
        }
    };
    let thread = std::thread::Builder::new().name("followed-file".to_owned()).spawn(run);
    thread.map_err(|error| format!("not read: {error}"))?;
    let wait = move || match result.recv_timeout(limit) {
        Ok(read) => Ok(read),
        Err(RecvTimeoutError::Timeout) => {
            HANGING.fetch_add(1, SeqCst);
            drop(result);
            Err(format!("not read within {limit:?}"))
        }
        Err(RecvTimeoutError::Disconnected) => Err("not read: the reader failed".to_owned()),
    };
    let waited = tokio::task::spawn_blocking(wait).await;
    waited.unwrap_or_else(|error| Err(format!("not read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "1234").unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"1234");
        assert!(read(&file, 3).unwrap_err().to_string().contains("larger than 3 bytes"));
        for other in [folder.path(), Path::new("/dev/zero")] {
            assert_eq!(read(other, 9).unwrap_err().to_string(), "is not a regular file");
        }
        assert!(read(&folder.path().join("none"), 9).is_err());
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_given_up_and_others_go_on_up_to_a_limit() {
        const LIMIT: Duration = Duration::from_millis(50);
        let (end, ended) = sync_channel::<()>(0);
        let ended = std::sync::Arc::new(std::sync::Mutex::new(ended));
        for _ in 0..HANGING_MAX {
            let ended = std::sync::Arc::clone(&ended);
            let hang = move || {
                let _ = ended.lock().unwrap().recv();
            };
            assert_eq!(within(LIMIT, hang).await, Err("not read within 50ms".to_owned()));
        }
        assert!(in_time(|| 1).await.unwrap_err().contains("still hang"));
        drop(end);
        while HANGING.load(SeqCst) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(in_time(|| 1).await, Ok(1));
    }
}
