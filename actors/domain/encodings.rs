//! A message's encodings: the bytes of each client format, made once however many sockets they go
//! to.
//!
//! The domain does not know how many formats there are. Encodings are a list to which each format
//! is appended when it is first needed; most messages are sent in one or two. The first has its
//! place in the message itself, so a message in one format costs no allocation besides the bytes.

use std::sync::OnceLock;

/// A format, as its encoder numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FormatId(pub u8);

/// The encodings of one message.
#[derive(Debug, Default)]
pub(super) struct Encodings(OnceLock<Encoding>);

#[derive(Debug)]
struct Encoding {
    format: FormatId,
    bytes: Box<[u8]>,
    next: OnceLock<Box<Self>>,
}

impl Encoding {
    fn new(format: FormatId, bytes: Box<[u8]>) -> Self {
        Self { format, bytes, next: OnceLock::new() }
    }
}

impl Encodings {
    /// The bytes in that format, made by `encode` the first time. What a place in the list holds
    /// never changes, so each format has one place and is encoded once.
    pub(super) fn get(&self, format: FormatId, encode: impl FnOnce() -> Box<[u8]>) -> &[u8] {
        let mut encode = Some(encode);
        let mut made = || Encoding::new(format, encode.take().map_or_else(Box::default, |it| it()));
        let mut place = self.0.get_or_init(&mut made);
        while place.format != format {
            place = place.next.get_or_init(|| Box::new(made()));
        }
        &place.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_format_has_its_own_bytes_and_is_encoded_once() {
        let (encodings, encoded) = (Encodings::default(), Cell::new(0));
        let get = |format: u8| {
            encodings.get(FormatId(format), || {
                encoded.set(encoded.get() + 1);
                Box::new([format])
            })
        };
        for _ in 0..2 {
            for format in [3, 0, u8::MAX, 7] {
                assert_eq!(get(format), [format]);
            }
        }
        assert_eq!(encoded.get(), 4);
    }

    #[test]
    fn formats_that_are_first_needed_at_once_are_encoded_once() {
        const FORMATS: u8 = 4;
        for _ in 0..50 {
            let (encodings, encoded) = (Encodings::default(), AtomicUsize::new(0));
            let start = Barrier::new(2 * usize::from(FORMATS));
            std::thread::scope(|scope| {
                for format in (0..FORMATS).chain(0..FORMATS) {
                    let (encodings, encoded, start) = (&encodings, &encoded, &start);
                    scope.spawn(move || {
                        start.wait();
                        let bytes = encodings.get(FormatId(format), || {
                            encoded.fetch_add(1, Ordering::Relaxed);
                            Box::new([format])
                        });
                        assert_eq!(bytes, [format]);
                    });
                }
            });
            assert_eq!(encoded.into_inner(), usize::from(FORMATS));
        }
    }
}
