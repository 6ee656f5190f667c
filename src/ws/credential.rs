//! The credentials of a socket.
//!
//! There are four places: `?ticket=`, `?token=`, `Authorization: Bearer`, and a subprotocol
//! `bearer.<jwt>`. If several are present, the first in this order counts and the others are
//! ignored: the URL was made for this socket, a header may come from a proxy or a library for all
//! requests. The same place used twice is refused.

use axum::http::{HeaderMap, header};

use super::refusal::Refusal;
use bellpull_auth::{Auth, AuthError, Principal};

/// A credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Single-use.
    Ticket(&'a str),
    /// An access token.
    Token(&'a str),
}

impl<'a> Credential<'a> {
    /// The first credential that is present.
    pub(super) fn choose(
        ticket: Option<&'a str>,
        token: Option<&'a str>,
        headers: &'a HeaderMap,
        offered: Option<&'a str>,
    ) -> Result<Option<Self>, Refusal> {
        let bearer = bearer(headers)?;
        let token = token.or(bearer).or(offered).map(Self::Token);
        Ok(ticket.map(Self::Ticket).or(token))
    }

    /// The principal of the credential. A ticket is used up.
    pub(super) async fn principal(self, auth: &Auth) -> Result<Principal, AuthError> {
        match self {
            Self::Ticket(ticket) => auth.redeem_ticket(ticket).await,
            Self::Token(token) => auth.authenticate(token).await,
        }
    }
}

/// The token of `Authorization: Bearer …`; credentials of another scheme are ignored.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::BadHandshake("There are two Authorization headers."));
    }
    let token = first.and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::super::testing::headers;
    use super::*;

    #[test]
    fn the_first_of_four_places_counts() {
        let header = headers(&[("authorization", "Bearer c")]);
        let none = HeaderMap::new();
        let chosen = |ticket, token, headers, offered| {
            Credential::choose(ticket, token, headers, offered).unwrap()
        };
        let [ticket, token] = [Credential::Ticket("a"), Credential::Token("b")];
        assert_eq!(chosen(Some("a"), Some("b"), &header, Some("d")), Some(ticket));
        assert_eq!(chosen(None, Some("b"), &header, Some("d")), Some(token));
        assert_eq!(chosen(None, None, &header, Some("d")), Some(Credential::Token("c")));
        assert_eq!(chosen(None, None, &none, Some("d")), Some(Credential::Token("d")));
        assert_eq!(chosen(None, None, &none, None), None);
        // An empty one counts as present, and is invalid.
        assert_eq!(chosen(None, Some(""), &header, None), Some(Credential::Token("")));
    }

    #[test]
    fn what_a_header_holds() {
        for (value, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer  a.b.c ", Some("a.b.c")),
            ("Basic YTpi", None),
            ("a.b.c", None),
        ] {
            assert_eq!(bearer(&headers(&[("authorization", value)])), Ok(token), "{value}");
        }
        let two = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
        let refused = Refusal::BadHandshake("There are two Authorization headers.");
        assert_eq!(bearer(&two), Err(refused));
    }
}
