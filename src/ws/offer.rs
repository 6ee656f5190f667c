//! A socket's dialect: named in the URL, offered as a subprotocol, or the default.

use axum::http::{HeaderMap, header};

use super::refusal::Refusal;
use bellpull_wire::Dialect;

/// The prefix of the subprotocol that carries a token: the only way for a browser to send one
/// outside the URL.
const BEARER: &str = "bearer.";

/// How much of an unknown name an answer repeats, in characters.
const QUOTE_MAX: usize = 64;

/// The subprotocols that a client offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offered<'a> {
    /// Their names in the client's order, without the one that carries a token.
    names: Vec<&'a str>,
    /// The one that carries a token, in full.
    carrier: Option<&'a str>,
    /// The token that it carries.
    pub(super) token: Option<&'a str>,
}

/// The dialects of a path's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// All, with this default.
    All(Dialect),
    /// This one only.
    Only(Dialect),
}

impl Spoken {
    fn default(self) -> Dialect {
        match self {
            Self::All(dialect) | Self::Only(dialect) => dialect,
        }
    }

    /// The dialect with that name, if it is available here.
    fn named(self, name: &str) -> Result<Dialect, Refusal> {
        let quote = || name.chars().take(QUOTE_MAX).collect();
        let dialect = Dialect::from_name(name).ok_or_else(|| Refusal::UnknownDialect(quote()))?;
        match self {
            Self::Only(only) if dialect != only => Err(Refusal::WrongDialect { only }),
            Self::All(_) | Self::Only(_) => Ok(dialect),
        }
    }
}

impl<'a> Offered<'a> {
    /// The subprotocols of a request.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let mut offered = Self::default();
        for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            let value = value
                .to_str()
                .map_err(|_| Refusal::BadHandshake("Sec-WebSocket-Protocol is not ASCII."))?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let Some(token) = name.strip_prefix(BEARER) else {
                    offered.names.push(name);
                    continue;
                };
                if offered.token.replace(token).is_some() {
                    return Err(Refusal::BadHandshake("Two subprotocols carry a token."));
                }
                offered.carrier = Some(name);
            }
        }
        Ok(offered)
    }

    /// The dialect that the URL names, or the first known one that is offered, or the default; and
    /// the subprotocol of the answer.
    ///
    /// A server need not choose any offered subprotocol (RFC 6455, 4.2.2), and never chooses one
    /// that it will not use. So a client whose URL names another dialect than its subprotocols gets
    /// an answer without one, and so does one that offers other servers' protocols only: browsers
    /// then fail the socket and say so in their console, as the standard requires, and other
    /// clients may continue, in the dialect of their URL or the default.
    pub(super) fn choose(
        &self,
        named: Option<&str>,
        spoken: Spoken,
    ) -> Result<(Dialect, Option<&'a str>), Refusal> {
        let from_url = named.map(|name| spoken.named(name)).transpose()?;
        let from_offer = self
            .names
            .iter()
            .filter_map(|name| Some((spoken.named(name).ok()?, *name)))
            .find(|(dialect, _)| from_url.is_none_or(|url| url == *dialect));
        // One of ours that is not available here is a mistake of its client.
        let is_ours = |name: &&&str| Dialect::from_name(name).is_some();
        match (from_url, from_offer, self.names.iter().find(is_ours)) {
            (_, Some((dialect, name)), _) => Ok((dialect, Some(name))),
            (Some(dialect), None, _) => Ok((dialect, self.carrier)),
            (None, None, Some(name)) => spoken.named(name).map(|dialect| (dialect, Some(*name))),
            // Where a token is offered, that is the answer.
            (None, None, None) => Ok((spoken.default(), self.carrier)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::headers;
    use super::*;

    const INCIDENT: Dialect = Dialect::Incident;
    const V1: Dialect = Dialect::BellpullV1;

    fn unknown(name: &str) -> Refusal {
        Refusal::UnknownDialect(name.to_owned())
    }

    type Chosen = Result<(Dialect, Option<&'static str>), Refusal>;

    fn check(spoken: Spoken, table: &[(Option<&str>, &str, Chosen)]) {
        for (named, offer, wanted) in table {
            let headers = headers(&[("sec-websocket-protocol", offer)]);
            let offered = Offered::read(&headers).unwrap();
            assert_eq!(&offered.choose(*named, spoken), wanted, "{named:?} {offer}");
        }
    }

    #[test]
    fn where_all_are_spoken() {
        check(
            Spoken::All(INCIDENT),
            &[
                (None, "", Ok((INCIDENT, None))),
                (Some("incident"), "", Ok((INCIDENT, None))),
                (Some("academy"), "", Ok((Dialect::Academy, None))),
                (None, "incident", Ok((INCIDENT, Some("incident")))),
                (None, "incident, bearer.abc", Ok((INCIDENT, Some("incident")))),
                (None, "bellpull.v1, bearer.abc", Ok((V1, Some("bellpull.v1")))),
                (None, "bearer.abc,incident", Ok((INCIDENT, Some("incident")))),
                (None, "bearer.abc", Ok((INCIDENT, Some("bearer.abc")))),
                (None, "graphql-ws, incident", Ok((INCIDENT, Some("incident")))),
                (None, "inbox, bellpull.v1", Ok((Dialect::Inbox, Some("inbox")))),
                (Some("incident"), "graphql-ws", Ok((INCIDENT, None))),
                (Some("incident"), "bellpull.v1", Ok((INCIDENT, None))),
                (Some("incident"), "bellpull.v1, incident", Ok((INCIDENT, Some("incident")))),
                (Some("incident"), "bearer.abc", Ok((INCIDENT, Some("bearer.abc")))),
                (Some("unknown"), "incident", Err(unknown("unknown"))),
                (None, "graphql-ws", Ok((INCIDENT, None))),
                (None, "Token, JWT", Ok((INCIDENT, None))),
                (None, "json, bearer.abc", Ok((INCIDENT, Some("bearer.abc")))),
            ],
        );
    }

    #[test]
    fn where_only_one_is_spoken() {
        let wrong = || Err(Refusal::WrongDialect { only: V1 });
        check(
            Spoken::Only(V1),
            &[
                (None, "", Ok((V1, None))),
                (Some("bellpull.v1"), "", Ok((V1, None))),
                (None, "bellpull.v1", Ok((V1, Some("bellpull.v1")))),
                (None, "bellpull.v1, bearer.abc", Ok((V1, Some("bellpull.v1")))),
                (None, "bearer.abc", Ok((V1, Some("bearer.abc")))),
                (None, "incident, bellpull.v1", Ok((V1, Some("bellpull.v1")))),
                (Some("incident"), "bellpull.v1", wrong()),
                (None, "incident", wrong()),
                (None, "incident, bearer.abc", wrong()),
                (None, "unknown, incident", wrong()),
                (None, "unknown", Ok((V1, None))),
                (Some("unknown"), "", Err(unknown("unknown"))),
            ],
        );
    }

    #[test]
    fn a_token_may_be_offered_once() {
        let protocols =
            [("sec-websocket-protocol", "incident"), ("sec-websocket-protocol", "bearer.a.b.c")];
        assert_eq!(Offered::read(&headers(&protocols)).unwrap().token, Some("a.b.c"));
        let two = headers(&[("sec-websocket-protocol", "bearer.a, bearer.b")]);
        let refused = Refusal::BadHandshake("Two subprotocols carry a token.");
        assert_eq!(Offered::read(&two), Err(refused));
    }
}
