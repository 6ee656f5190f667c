//! Reads a stream of Server-Sent Events, as our own nodes write them.

/// The longest event that is waited for; a longer one is dropped with all before it.
const EVENT_MAX: usize = 256 * 1024;

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `None` for an event without a name of its own.
    pub name: Option<String>,
    pub id: Option<String>,
    pub data: String,
}

/// What has come of a stream.
#[derive(Debug, Default)]
pub struct Reader {
    unread: Vec<u8>,
}

impl Reader {
    /// The events that are complete with these bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.unread.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.unread.drain(..end + 2).collect();
            events.extend(std::str::from_utf8(&event).ok().and_then(event_of));
        }
        if self.unread.len() > EVENT_MAX {
            self.unread.clear();
        }
        events
    }
}

fn event_of(text: &str) -> Option<Event> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    let data = field("data")?; // none: a sign of life
    Some(Event { name: field("event"), id: field("id"), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_stream_is_cut() {
        let stream = ":\n\nevent: missed\ndata: 3\n\nid: 6\ndata: {\"id\":6,\"path\":\"ü\"}\n\n";
        let of = |name: Option<&str>, id: Option<&str>, data: &str| {
            let [name, id] = [name, id].map(|text| text.map(str::to_owned));
            Event { name, id, data: data.to_owned() }
        };
        let wanted =
            [of(Some("missed"), None, "3"), of(None, Some("6"), "{\"id\":6,\"path\":\"ü\"}")];
        for cut in 0..stream.len() {
            let mut reader = Reader::default();
            let mut events = reader.read(&stream.as_bytes()[..cut]);
            events.extend(reader.read(&stream.as_bytes()[cut..]));
            assert_eq!(events, wanted, "{cut}");
        }
    }

    #[test]
    fn what_has_no_end_is_not_kept() {
        let mut reader = Reader::default();
        assert!((0..10).all(|_| reader.read(&[b'x'; 100_000]).is_empty()));
        assert!(reader.unread.len() <= EVENT_MAX + 100_000);
    }
}
