//! What a socket shows of who opens it.
//!
//! There are four places: `?ticket=`, `?token=`, `Authorization: Bearer`, and a subprotocol
//! `bearer.<jwt>`. Where several are filled the first of this order counts and the others are not
//! looked at: what stands in the URL was put there for this socket, a header may be a proxy's or a
//! library's for all requests. The same place filled twice is refused.

use axum::http::{HeaderMap, header};

use super::refusal::Refusal;
use crate::auth::{Auth, AuthError, Principal};

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Good once.
    Ticket(&'a str),
    /// An access token.
    Token(&'a str),
}

impl<'a> Credential<'a> {
    /// The first of what the four places hold.
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

    /// Whoever it speaks for. A ticket is used up by this.
    pub(super) async fn principal(self, auth: &Auth) -> Result<Principal, AuthError> {
        match self {
            Self::Ticket(ticket) => auth.redeem_ticket(ticket).await,
            Self::Token(token) => auth.authenticate(token).await,
        }
    }
}

/// The token of `Authorization: Bearer …`; another scheme's credentials are none of ours.
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
        // An empty one was shown too, and will not do.
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
