//! Another node's stream of Server-Sent Events, as far as our own nodes write them.

use bellpull_actors::domain::node::NodeName;

use super::Notice;

/// The longest event that is waited for; a longer one is dropped with all before it.
const EVENT_MAX: usize = 256 * 1024;

/// What has come of a stream.
#[derive(Debug)]
pub(super) struct Parser {
    node: NodeName,
    unread: Vec<u8>,
}

impl Parser {
    pub(super) fn new(node: NodeName) -> Self {
        Self { node, unread: Vec::new() }
    }

    /// The events that are complete with these bytes.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Vec<Notice> {
        self.unread.extend_from_slice(bytes);
        let mut told = Vec::new();
        while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.unread.drain(..end + 2).collect();
            told.extend(std::str::from_utf8(&event).ok().and_then(|event| self.event(event)));
        }
        if self.unread.len() > EVENT_MAX {
            self.unread.clear();
        }
        told
    }

    fn event(&self, text: &str) -> Option<Notice> {
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data = field("data")?.to_owned(); // none: a sign of life
        let node = self.node.clone();
        match field("event") {
            None => Some(Notice { node, id: Some(field("id")?.parse().ok()?), data }),
            Some("missed") => Some(Notice { node, id: None, data }),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_stream_is_cut() {
        let node = NodeName::parse("b").unwrap();
        let stream = ":\n\nevent: missed\ndata: 3\n\nid: 6\ndata: {\"id\":6,\"path\":\"ü\"}\n\n";
        let of = |id, data: &str| Notice { node: node.clone(), id, data: data.to_owned() };
        let wanted = [of(None, "3"), of(Some(6), "{\"id\":6,\"path\":\"ü\"}")];
        for cut in 0..stream.len() {
            let mut parser = Parser::new(node.clone());
            let mut told = parser.parse(&stream.as_bytes()[..cut]);
            told.extend(parser.parse(&stream.as_bytes()[cut..]));
            assert_eq!(told, wanted, "{cut}");
        }
    }

    #[test]
    fn what_has_no_end_is_not_kept() {
        let mut parser = Parser::new(NodeName::parse("b").unwrap());
        assert!((0..10).all(|_| parser.parse(&[b'x'; 100_000]).is_empty()));
        assert!(parser.unread.len() <= EVENT_MAX + 100_000);
    }
}
