//! Accounts: found, remembered, made; logins, refreshes, logouts, registrations.

use bellpull_domain::routing::Group;

use super::*;

pub(super) fn registration() -> Registration {
    Registration {
        username: "grace".to_owned(),
        email: "grace@example.com".to_owned(),
        password: "cobol-1959".to_owned(),
        full_name: "Grace Hopper".to_owned(),
        role: "student".parse().unwrap(),
    }
}

async fn log_in(bench: &Bench) -> Tokens {
    let name = LoginName::Username("ada".to_owned());
    bench.auth.login(name, "lovelace".to_owned(), CLIENT).await.unwrap().0
}

#[tokio::test]
async fn an_account_is_read_once_in_two_seconds_unless_it_is_forgotten() {
    let bench = bench(config()).await;
    let token = bench.token(json!({}));
    let reads = || bench.store.reads.load(Ordering::Relaxed);
    for _ in 0..5 {
        bench.auth.authenticate(&token).await.unwrap();
    }
    assert_eq!(reads(), 1);
    bench.store.change(1, |ada| ada.is_active = false);
    assert!(bench.auth.authenticate(&token).await.is_ok(), "still remembered");
    bench.auth.forget(UserId(1));
    assert_eq!(bench.refusal(&token).await, "the account is not active");
    bench.store.change(1, |ada| ada.is_active = true);
    bench.clock.advance_ms(2_000);
    bench.auth.authenticate(&token).await.unwrap();
    assert_eq!(reads(), 3);
    bench.store.is_away.store(true, Ordering::Relaxed);
    assert!(bench.auth.authenticate(&token).await.is_ok(), "no read, no failure");
    bench.auth.forget(UserId(1));
    assert_eq!(bench.auth.authenticate(&token).await.unwrap_err(), AuthError::Unavailable);
}

#[tokio::test]
async fn an_unknown_user_is_made_from_the_claims_where_that_is_allowed() {
    let mut config = config();
    config.auth.auto_provision = true;
    let bench = bench(config).await;
    let made = async |changes: Value| {
        let token = bench.token(changes);
        (*bench.auth.authenticate(&token).await.unwrap().user).clone()
    };
    let user = made(json!({"user_id": 42, "username": "bob", "email": "bob@example.com",
        "full_name": "Bob B.", "role": "developer"}))
    .await;
    assert_eq!((user.id, user.username.as_str()), (UserId(42), "bob"));
    assert_eq!((user.email(), user.full_name.as_str()), ("bob@example.com", "Bob B."));
    assert_eq!(user.role, Role::Developer);
    // Taken, or not valid for an account: a safe value replaces it.
    let user = made(json!({"user_id": 43, "username": "bob", "email": "BOB@example.com",
        "role": "Big Boss", "full_name": "a\u{0}b"}))
    .await;
    assert_eq!((user.username.as_str(), user.email()), ("bob-43", ""));
    assert_eq!((user.role, user.full_name.as_str()), (Role::Client, "ab"));
    let user = made(json!({"user_id": 44, "username": "no spaces, please", "role": "tutor"})).await;
    assert_eq!((user.username.as_str(), user.role.as_str()), ("user-44", "tutor"));
    let user = made(json!({"user_id": 45})).await;
    assert_eq!(user.username, "user-45");
    let user = made(json!({"user_id": 46, "username": "user-45"})).await;
    assert_eq!(user.username, "user-45-46");
    let long = "x".repeat(150);
    made(json!({"user_id": 47, "username": long})).await;
    let user = made(json!({"user_id": 48, "username": long})).await;
    assert_eq!((user.username.len(), user.username.ends_with("x-48")), (150, true));
    // An existing account is not changed by a token.
    let user = made(json!({"user_id": 42, "username": "eve", "role": "super_admin"})).await;
    assert_eq!((user.username.as_str(), user.role), ("bob", Role::Developer));
    assert!(bench.store.announced().is_empty(), "there was no registration");
}

#[tokio::test]
async fn a_user_who_comes_many_times_at_once_is_made_once() {
    let mut config = config();
    config.auth.auto_provision = true;
    let bench = bench(config).await;
    let token = bench.token(json!({"user_id": 9, "username": "nine"}));
    let all = futures_util::future::join_all((0..20).map(|_| bench.auth.authenticate(&token)));
    for principal in all.await {
        assert_eq!(principal.unwrap().user.username, "nine");
    }
}

#[tokio::test]
async fn a_login_needs_an_active_account_and_its_password() {
    let bench = bench(config()).await;
    let name = |name: &str| LoginName::Username(name.to_owned());
    let try_in = async |name, password: &str| {
        bench.auth.login(name, password.to_owned(), CLIENT).await.map(|(_, user)| user.id)
    };
    assert_eq!(try_in(name("ada"), "lovelace").await, Ok(UserId(1)));
    let email = LoginName::Email("Ada@Example.com".to_owned());
    assert_eq!(try_in(email, "lovelace").await, Ok(UserId(1)));
    assert_eq!(try_in(name("ada"), "byron").await, Err(AuthError::BadCredentials));
    assert_eq!(try_in(name("unknown"), "lovelace").await, Err(AuthError::BadCredentials));
    bench.store.change(1, |ada| ada.is_active = false);
    assert_eq!(try_in(name("ada"), "lovelace").await, Err(AuthError::BadCredentials));
    bench.store.is_away.store(true, Ordering::Relaxed);
    assert_eq!(try_in(name("ada"), "lovelace").await, Err(AuthError::Unavailable));
}

#[tokio::test]
async fn a_login_goes_on_by_refresh_and_ends_where_an_old_token_comes_back() {
    let bench = bench(config()).await;
    let first = log_in(&bench).await;
    let principal = bench.auth.authenticate(&first.access).await.unwrap();
    assert_eq!(principal.login, Some(LoginId(1)));
    assert_eq!(bench.refusal(&first.refresh).await, "it is not an access token");
    let bad = bench.auth.refresh(&first.access).await.unwrap_err();
    assert_eq!(bad, AuthError::BadToken("it is not a refresh token of this hub"));
    // A client may use the same refresh token again and again.
    for _ in 0..3 {
        bench.auth.refresh(&first.refresh).await.unwrap();
    }
    let second = bench.auth.refresh(&first.refresh).await.unwrap();
    let third = bench.auth.refresh(&second.refresh).await.unwrap();
    assert!(bench.auth.authenticate(&third.access).await.is_ok());
    let stolen = bench.auth.refresh(&first.refresh).await.unwrap_err();
    assert_eq!(stolen, AuthError::BadToken("it was used before: its login has ended"));
    let ended = bench.auth.refresh(&third.refresh).await.unwrap_err();
    assert_eq!(ended, AuthError::BadToken("its login has ended"));
    assert_eq!(bench.refusal(&third.access).await, "its login has ended");
    assert!(!format!("{first:?}").contains(&first.access[..10]));
}

#[tokio::test]
async fn no_token_outlives_its_login() {
    let mut config = config();
    config.auth.refresh_ttl_s = 100;
    let bench = bench(config).await;
    let first = log_in(&bench).await;
    bench.clock.advance_ms(90_000);
    let later = bench.auth.refresh(&first.refresh).await.unwrap();
    assert!(bench.auth.authenticate(&later.access).await.is_ok());
    bench.clock.advance_ms(10_000);
    assert_eq!(bench.refusal(&later.access).await, "it has expired");
    let over = bench.auth.refresh(&later.refresh).await.unwrap_err();
    assert_eq!(over, AuthError::BadToken("it has expired"));
}

#[tokio::test]
async fn what_was_kept_open_is_looked_at_again() {
    let bench = bench(config()).await;
    let kept = async || bench.auth.authenticate(&log_in(&bench).await.access).await.unwrap();
    let one = kept().await;
    assert_eq!(bench.auth.recheck(&one).await, Ok(()));
    bench.auth.logout(Some(&one), None).await.unwrap();
    let ended = Ending::TokenEnded(TokenEnd::LoggedOut);
    assert_eq!(bench.auth.recheck(&one).await, Err(ended));
    let two = kept().await;
    bench.store.is_away.store(true, Ordering::Relaxed);
    bench.auth.forget(UserId(1));
    assert_eq!(bench.auth.recheck(&two).await, Ok(()), "a store that is away ends nothing");
    bench.store.is_away.store(false, Ordering::Relaxed);
    // With another role the client comes back at once, and is shown what that may see.
    bench.store.change(1, |ada: &mut User| ada.role = Role::Developer);
    bench.auth.forget(UserId(1));
    let back = Ending::Restarting { retry_after_ms: 0 };
    assert_eq!(bench.auth.recheck(&two).await, Err(back));
    bench.store.change(1, |ada: &mut User| ada.is_active = false);
    bench.auth.forget(UserId(1));
    assert_eq!(bench.auth.recheck(&two).await, Err(Ending::RightWithdrawn));
    bench.clock.advance_ms(3_600_000);
    let expired = Ending::TokenEnded(TokenEnd::Expired);
    assert_eq!(bench.auth.recheck(&two).await, Err(expired));
}

#[tokio::test]
async fn a_logout_ends_one_login_and_only_ones_own() {
    let bench = bench(config()).await;
    let (one, two) = (log_in(&bench).await, log_in(&bench).await);
    let who = bench.auth.authenticate(&one.access).await.unwrap();
    let mut eve = who.clone();
    eve.user = Arc::new(User { id: UserId(2), ..(*who.user).clone() });
    let foreign = bench.auth.logout(Some(&eve), Some(&two.refresh)).await;
    assert_eq!(foreign, Err(AuthError::BadToken("it is another user's")));
    bench.auth.logout(Some(&who), None).await.unwrap();
    assert_eq!(bench.refusal(&one.access).await, "its login has ended");
    assert!(bench.auth.refresh(&one.refresh).await.is_err());
    assert!(bench.auth.authenticate(&two.access).await.is_ok());
    bench.auth.logout(Some(&who), Some(&two.refresh)).await.unwrap();
    bench.auth.logout(Some(&who), Some(&two.refresh)).await.unwrap();
    assert_eq!(bench.refusal(&two.access).await, "its login has ended");
}

#[tokio::test]
async fn a_registration_is_checked_and_every_super_admin_is_told() {
    let bench = bench(config()).await;
    let field = async |change: &dyn Fn(&mut Registration)| {
        let mut new = registration();
        change(&mut new);
        match bench.auth.register(new, CLIENT).await {
            Err(AuthError::Invalid(field, text)) => (field, text),
            other => panic!("{other:?}"),
        }
    };
    let is = |field: &'static str, text: &str| (field, text.to_owned());
    assert_eq!(
        field(&|new| new.username = "ada".to_owned()).await,
        is("username", "A user with that username already exists.")
    );
    assert_eq!(
        field(&|new| new.email = "ADA@example.com".to_owned()).await,
        is("email", "A user with that email already exists.")
    );
    assert_eq!(field(&|new| new.username = " ".to_owned()).await.1, "This field may not be blank.");
    assert_eq!(field(&|new| new.username = "a b".to_owned()).await.0, "username");
    assert_eq!(field(&|new| new.username = "x".repeat(151)).await.0, "username");
    for email in ["", "ada", "@b.de", "a@", "a@b", "a@b..de", "a@@b.de", "a b@c.de", "a\n@c.de"] {
        assert_eq!(field(&|new| new.email = email.to_owned()).await.0, "email", "{email}");
    }
    assert_eq!(field(&|new| new.password = "1234567".to_owned()).await.0, "password");
    assert_eq!(field(&|new| new.password = "x".repeat(1025)).await.0, "password");
    assert_eq!(field(&|new| new.full_name = "a\u{7}".to_owned()).await.0, "full_name");
    for role in [Role::Developer, Role::Admin, Role::SuperAdmin] {
        let (name, text) = field(&|new| new.role = role.clone()).await;
        assert_eq!((name, text), is("role", &format!("\"{role}\" may not be chosen.")));
    }
    assert!(bench.store.announced().is_empty());

    let user = bench.auth.register(registration(), CLIENT).await.unwrap();
    assert_eq!((user.username.as_str(), user.role.as_str()), ("grace", "student"));
    let [told] = <[_; 1]>::try_from(bench.store.announced()).unwrap();
    assert_eq!(told.audience.group, Some(Group::SuperAdmins));
    let message = told.message;
    assert_eq!(
        (message.event.as_str(), message.kind.as_str()),
        ("user_registration", "USER_REGISTRATION")
    );
    assert_eq!(message.title, "New User Registration");
    assert_eq!(message.body, "A new Student has registered: Grace Hopper (grace@example.com)");
    assert_eq!(message.action_url, "/admin/accounts/customuser/2/change/");
    assert_eq!(
        Value::Object(message.metadata),
        json!({"user_id": 2, "user_email": "grace@example.com",
            "user_full_name": "Grace Hopper", "user_role": "student"})
    );
    let name = LoginName::Username("grace".to_owned());
    assert!(bench.auth.login(name, "cobol-1959".to_owned(), CLIENT).await.is_ok());
    assert!(!format!("{:?}", registration()).contains("cobol"));
}

#[tokio::test]
async fn a_closed_registration_says_so() {
    let mut config = config();
    config.auth.registration = false;
    let answer = bench(config).await.auth.register(registration(), CLIENT).await;
    assert_eq!(answer, Err(AuthError::Disabled("Registration is closed.")));
}

#[tokio::test]
async fn a_secret_is_made_once_where_none_is_set() {
    let bench = bench(Config { jwt_secret: None, ..config() }).await;
    let tokens = log_in(&bench).await;
    let config = Config { jwt_secret: None, ..config() };
    let secret = issue::hub_secret(&config, &*bench.store).await.unwrap();
    assert_eq!(secret.reveal().len(), 43, "32 bytes");
    let again = Auth::assemble(&config, bench.store.clone(), bench.clock.clone()).await;
    assert!(again.unwrap().authenticate(&tokens.access).await.is_ok(), "after a restart");
}
