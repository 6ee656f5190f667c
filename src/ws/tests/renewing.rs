//! A new token for an open session.

use bellpull_port::session::{NotRenewed, Renewal, Token};

use super::*;

/// A session of user 1 without a reader, and its renewer.
async fn session(accounts: &Accounts) -> (Pair, Renewer) {
    (pair().await, Renewer::new(accounts.auth.clone(), UserId(1)))
}

fn token(text: String) -> Token {
    Token(text.into())
}

async fn next_renewal(pair: &mut Pair) -> (String, Result<Renewal, NotRenewed>) {
    let Heard::Renewed { tag, renewal } = next_heard(&mut pair.heard).await else {
        panic!("something else was told");
    };
    (tag.unwrap().into(), renewal)
}

#[tokio::test]
async fn a_good_token_is_reported_with_its_end_and_the_next_may_follow_at_once() {
    let accounts = Accounts::gather().await;
    let (mut pair, renewer) = session(&accounts).await;
    for (name, seconds) in [("r1", 60), ("r2", 600)] {
        let good = token(accounts.token(1, "access", seconds));
        let wanted = accounts.auth.authenticate(&good.0).await.unwrap();
        renewer.begin(&pair.shared, Some(name.into()), good);
        let (tag, renewal) = next_renewal(&mut pair).await;
        assert_eq!(tag, name);
        let renewal = renewal.unwrap();
        assert_eq!((renewal.user, renewal.login), (UserId(1), None));
        assert_eq!(renewal.expires_at, wanted.expires_at);
    }
    assert!(pair.heard.try_recv().is_err(), "nothing else is told");
}

#[tokio::test]
async fn a_token_that_will_not_do_is_told_with_what_is_wrong() {
    let accounts = Accounts::gather().await;
    for (text, part) in [
        (accounts.token(2, "access", 60), "another user's"),
        (accounts.token(1, "access", -1), "expired"),
        (accounts.token(1, "refresh", 60), "not an access token"),
        (accounts.token(0, "service", 60), "another user's"),
        (accounts.token(3, "access", 60), "no such account"),
        (String::new(), "not valid"),
    ] {
        let (mut pair, renewer) = session(&accounts).await;
        renewer.begin(&pair.shared, Some("r".into()), token(text));
        let why = next_renewal(&mut pair).await.1.unwrap_err();
        let NotRenewed::BadToken(why) = why else { panic!("{part}: {why:?}") };
        assert!(why.contains(part), "{why}");
        assert!(pair.heard.try_recv().is_err(), "the session goes on");
    }
    accounts.take_store_away();
    accounts.auth.forget(UserId(1));
    let (mut pair, renewer) = session(&accounts).await;
    renewer.begin(&pair.shared, Some("r".into()), token(accounts.token(1, "access", 60)));
    let why = next_renewal(&mut pair).await.1.unwrap_err();
    assert_eq!(why, NotRenewed::Unavailable);
}

#[tokio::test]
async fn one_token_at_a_time_is_looked_at() {
    let accounts = Accounts::gather().await;
    let (mut pair, renewer) = session(&accounts).await;
    for name in ["first", "second", "third"] {
        // Nothing runs in between: the first is not checked yet.
        renewer.begin(&pair.shared, Some(name.into()), token(accounts.token(1, "access", 60)));
    }
    for name in ["second", "third"] {
        let busy = (name.to_owned(), Err(NotRenewed::Busy));
        assert_eq!(next_renewal(&mut pair).await, busy);
    }
    let (tag, renewal) = next_renewal(&mut pair).await;
    assert_eq!((tag.as_str(), renewal.is_ok()), ("first", true));
}
