//! A ticket opens a socket as its holder's token would have at that moment.

use super::*;

/// `ada`, by a login of hers.
async fn ada(bench: &Bench) -> Principal {
    let name = LoginName::Username("ada".to_owned());
    let (tokens, _) = bench.auth.login(name, "lovelace".to_owned(), CLIENT).await.unwrap();
    bench.auth.authenticate(&tokens.access).await.unwrap()
}

async fn refusal(bench: &Bench, ticket: &str) -> &'static str {
    match bench.auth.redeem_ticket(ticket).await {
        Err(AuthError::BadToken(why)) => why,
        other => panic!("{other:?}"),
    }
}

const USED: &str = "the ticket was used, has expired or never was";

#[tokio::test]
async fn a_ticket_authenticates_its_requester_once() {
    let bench = bench(config()).await;
    let who = ada(&bench).await;
    let ticket = bench.auth.issue_ticket(&who).await.unwrap();
    let again = bench.auth.redeem_ticket(&ticket).await.unwrap();
    assert_eq!((again.user.id, again.login), (who.user.id, who.login));
    assert_eq!((again.expires_at, again.is_service), (who.expires_at, false));
    assert_eq!(refusal(&bench, &ticket).await, USED);
    let late = bench.auth.issue_ticket(&who).await.unwrap();
    bench.clock.advance_ms(30_000);
    assert_eq!(refusal(&bench, &late).await, USED);
    assert_eq!(refusal(&bench, "").await, USED);
}

#[tokio::test]
async fn what_ended_since_has_ended_for_the_ticket() {
    let bench = bench(config()).await;
    let who = ada(&bench).await;
    let ticket = bench.auth.issue_ticket(&who).await.unwrap();
    bench.auth.logout(Some(&who), None).await.unwrap();
    assert_eq!(refusal(&bench, &ticket).await, "its login has ended");

    let mut brief = ada(&bench).await;
    brief.expires_at = bench.clock.now() + jiff::SignedDuration::from_secs(2);
    let ticket = bench.auth.issue_ticket(&brief).await.unwrap();
    bench.clock.advance_ms(2_000);
    assert_eq!(refusal(&bench, &ticket).await, "it has expired");

    let who = ada(&bench).await;
    let promoted = bench.auth.issue_ticket(&who).await.unwrap();
    let inactive = bench.auth.issue_ticket(&who).await.unwrap();
    bench.store.change(1, |ada| ada.role = Role::Developer);
    bench.auth.forget(UserId(1));
    let now = bench.auth.redeem_ticket(&promoted).await.unwrap();
    assert_eq!(now.user.role, Role::Developer, "the rights of today");
    bench.store.change(1, |ada| ada.is_active = false);
    bench.auth.forget(UserId(1));
    assert_eq!(refusal(&bench, &inactive).await, "the account is not active");
}

#[tokio::test]
async fn a_service_token_opens_no_sockets() {
    let bench = bench(config()).await;
    let service = bench.token(json!({"token_type": "service", "user_id": 0}));
    let who = bench.auth.authenticate(&service).await.unwrap();
    let refused = AuthError::Disabled("A service token opens no sockets.");
    assert_eq!(bench.auth.issue_ticket(&who).await, Err(refused));
}
