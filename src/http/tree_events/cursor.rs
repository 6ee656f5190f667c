//! A reader's position in the events of every node, as the `id` of a Server-Sent Event.

use std::collections::BTreeMap;
use std::fmt;

use bellpull_domain::node::NodeName;

/// The most nodes in a position from a client.
const NODES_MAX: usize = 100;

/// The last event of each node that a reader has: `web-1:12,web-2:7`. If it has only events of the
/// node that answers, that node's number alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    own: NodeName,
    last: BTreeMap<NodeName, u64>,
}

impl Cursor {
    /// The position that a client has sent to the node `own`; what is unreadable counts as missing.
    pub(super) fn parse(text: &str, own: &NodeName) -> Self {
        let last = match text.trim().parse() {
            Ok(number) => BTreeMap::from([(own.clone(), number)]),
            Err(_) => text.split(',').take(NODES_MAX).filter_map(part).collect(),
        };
        Self { own: own.clone(), last }
    }

    /// The last event of that node.
    pub(super) fn of(&self, node: &NodeName) -> Option<u64> {
        self.last.get(node).copied()
    }

    /// The reader has that event now.
    pub(super) fn advance(&mut self, node: NodeName, id: u64) {
        self.last.insert(node, id);
    }
}

fn part(part: &str) -> Option<(NodeName, u64)> {
    let (name, number) = part.trim().rsplit_once(':')?;
    Some((NodeName::parse(name)?, number.parse().ok()?))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (1, Some(own)) = (self.last.len(), self.of(&self.own)) {
            return write!(f, "{own}");
        }
        for (place, (node, number)) in self.last.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{node}:{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let [a, b] = ["a", "b.2"].map(|name| NodeName::parse(name).unwrap());
        let mut cursor = Cursor::parse("", &a);
        assert_eq!((cursor.to_string().as_str(), cursor.of(&a)), ("", None));
        cursor.advance(a.clone(), 5);
        assert_eq!(cursor.to_string(), "5");
        assert_eq!(Cursor::parse("5", &a), cursor);
        cursor.advance(b.clone(), 7);
        assert_eq!(cursor.to_string(), "a:5,b.2:7");
        assert_eq!(Cursor::parse("a:5,b.2:7", &a), cursor);
        let elsewhere = Cursor::parse("a:5,b.2:7", &b);
        assert_eq!((elsewhere.of(&a), elsewhere.of(&b)), (Some(5), Some(7)));
        let bad = Cursor::parse("x,a:,:5,a:5:6,b.2:9", &a);
        assert_eq!((bad.of(&a), bad.of(&b)), (None, Some(9)));
    }
}
