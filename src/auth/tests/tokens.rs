//! Which tokens are accepted with a secret, a public key and a key set.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const RSA: &str = include_str!("../testkeys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("../testkeys/rsa.pub.pem");
const P256: &str = include_str!("../testkeys/p256.pem");
const ED25519: &str = include_str!("../testkeys/ed25519.pem");

fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testkeys").join(name)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are signed with the secret")]
fn signing_key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::PS256 => {
            EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap()
        }
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED25519.as_bytes()).unwrap(),
        _ => EncodingKey::from_secret(SECRET.as_bytes()),
    }
}

fn signed(bench: &Bench, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &bench.claims(json!({})), &signing_key(algorithm)).unwrap()
}

fn with_public_key(name: &str) -> Config {
    let mut config = config();
    config.auth.public_key_file = Some(key_file(name));
    config
}

/// Both halves in clear: what a forger can do without any key.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn every_way_of_writing_a_good_token_is_taken() {
    let bench = bench(config()).await;
    let now = bench.now_s();
    for good in [
        json!({}),
        json!({"token_type": null}),
        json!({"user_id": "1"}),
        json!({"user_id": null, "sub": "1"}),
        json!({"user_id": null, "sub": 1}),
        json!({"user_id": 1, "sub": "another"}),
        json!({"exp": now + 1}),
        json!({"exp": 1e18}),
        json!({"exp": 9_223_372_036_854_775_807_i64}),
        json!({"exp": f64::from(i32::MAX) + 0.25}),
        json!({"nbf": now, "iat": now, "jti": "x", "aud": "anybody"}),
        json!({"nbf": now + 60, "iat": now + 60}),
        json!({"typ": "Bearer", "token_use": "access"}),
        json!({"typ": null, "token_use": null}),
        json!({"typ": 7}),
        json!({"login": "a name", "generation": {}, "role": 7, "email": []}),
    ] {
        let principal = bench.auth.authenticate(&bench.token(good.clone())).await;
        let principal = principal.unwrap_or_else(|error| panic!("{good}: {error}"));
        assert_eq!((principal.user.id, principal.is_service), (UserId(1), false));
        assert_eq!(principal.user.username, "ada");
    }
    let principal = bench.auth.authenticate(&bench.token(json!({"login": 9}))).await.unwrap();
    assert_eq!(principal.login, Some(LoginId(9)));
    assert_eq!(principal.expires_at.as_second(), now + 60);
    assert_eq!(principal.caller().name, "ada");
}

#[tokio::test]
async fn every_wrong_kind_of_claims_is_refused() {
    let bench = bench(config()).await;
    let now = bench.now_s();
    for (wrong, why) in [
        (json!({"exp": null}), "it has no expiry"),
        (json!({"exp": "soon"}), "it has no expiry"),
        (json!({"exp": now}), "it has expired"),
        (json!({"exp": -1}), "it has expired"),
        (json!({"exp": 0.5}), "it has expired"),
        (json!({"nbf": now + 62}), "it is not yet valid"),
        (json!({"nbf": "later"}), "it is not a well-formed token"),
        (json!({"iat": now + 62}), "it was issued in the future"),
        (json!({"iat": "now"}), "it is not a well-formed token"),
        (json!({"token_type": "refresh"}), "it is not an access token"),
        (json!({"token_type": "Access"}), "it is not an access token"),
        (json!({"token_type": 1}), "it is not an access token"),
        (json!({"typ": "ID"}), "it is not an access token"),
        (json!({"typ": "Refresh"}), "it is not an access token"),
        (json!({"typ": "Offline"}), "it is not an access token"),
        (json!({"typ": "Logout"}), "it is not an access token"),
        (json!({"typ": "id"}), "it is not an access token"),
        (json!({"token_use": "id"}), "it is not an access token"),
        (json!({"token_use": ["access"]}), "it is not an access token"),
        (json!({"user_id": null}), "it names no user"),
        (json!({"user_id": "ada"}), "its user_id is not a number"),
        (json!({"user_id": "ada", "sub": "1"}), "its user_id is not a number"),
        (json!({"user_id": ""}), "its user_id is not a number"),
        (json!({"user_id": "+1"}), "its user_id is not a number"),
        (json!({"user_id": "1 "}), "its user_id is not a number"),
        (json!({"user_id": "0x1"}), "its user_id is not a number"),
        (json!({"user_id": 1.0}), "its user_id is not a number"),
        (json!({"user_id": 0}), "its user_id is not a number"),
        (json!({"user_id": -1}), "its user_id is not a number"),
        (json!({"user_id": 9_007_199_254_740_992_i64}), "its user_id is not a number"),
        (json!({"user_id": "99999999999999999999"}), "its user_id is not a number"),
        (json!({"user_id": true}), "its user_id is not a number"),
        (json!({"user_id": [1]}), "its user_id is not a number"),
        (json!({"user_id": 2}), "there is no such account"),
        (json!({"pad": "x".repeat(8192)}), "it is too long"),
    ] {
        assert_eq!(bench.refusal(&bench.token(wrong.clone())).await, why, "{wrong}");
    }
}

#[tokio::test]
async fn what_our_secret_did_not_sign_is_refused() {
    let bench = bench(config()).await;
    let good = bench.token(json!({}));
    let claims = bench.claims(json!({}));
    let [head, body, tail] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let other = EncodingKey::from_secret(b"another secret");
    let malformed = "it is not a well-formed token";
    let mut changed = tail.to_owned();
    changed.replace_range(0..1, if tail.starts_with('A') { "B" } else { "A" });
    let of = |alg: &str| forged(&json!({"alg": alg, "typ": "JWT"}), &claims, tail);
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for (token, why) in [
        (encode(&Header::default(), &claims, &other).unwrap(), "its signature is wrong"),
        (format!("{head}.{body}.{changed}"), "its signature is wrong"),
        (format!("{head}.{body}."), "its signature is wrong"),
        (format!("{head}.{}.{tail}", body.replace('a', "b")), "its signature is wrong"),
        (forged(&json!({"alg": "none"}), &claims, ""), malformed),
        (of("none"), malformed),
        (of("nOnE"), malformed),
        (of("HS384"), "its algorithm is not accepted"),
        (of("RS256"), "its algorithm is not accepted"),
        (of("ES256"), "its algorithm is not accepted"),
        (signed(&bench, Algorithm::HS512, None), "its algorithm is not accepted"),
        (signed(&bench, Algorithm::RS256, None), "its algorithm is not accepted"),
        (encode(&critical, &claims, &key).unwrap(), "it has critical extensions"),
        (String::new(), malformed),
        ("a.b".to_owned(), malformed),
        ("....".to_owned(), malformed),
        (format!("{good}.x"), malformed),
        ("é.é.é".to_owned(), malformed),
    ] {
        assert_eq!(bench.refusal(&token).await, why, "{token}");
    }
}

#[tokio::test]
async fn a_public_key_takes_exactly_its_own_algorithm() {
    let all = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::HS256,
    ];
    for (file, own) in [
        ("rsa.pub.pem", Algorithm::RS256),
        ("p256.pub.pem", Algorithm::ES256),
        ("ed25519.pub.pem", Algorithm::EdDSA),
    ] {
        let bench = bench(with_public_key(file)).await;
        for algorithm in all {
            let answer = bench.auth.authenticate(&signed(&bench, algorithm, None)).await;
            assert_eq!(answer.is_ok(), algorithm == own, "{file} {algorithm:?}");
        }
        // The public key's text, or its bytes, as if they were a secret.
        for secret in [std::fs::read(key_file(file)).unwrap(), RSA_PUBLIC.as_bytes().to_vec()] {
            let key = EncodingKey::from_secret(&secret);
            let token = encode(&Header::default(), &bench.claims(json!({})), &key).unwrap();
            assert_eq!(bench.refusal(&token).await, "its algorithm is not accepted");
        }
    }
}

#[tokio::test]
async fn where_tokens_come_from_elsewhere_ours_are_off() {
    let bench = bench(with_public_key("rsa.pub.pem")).await;
    let off = |error: AuthError| assert!(matches!(error, AuthError::Disabled(_)), "{error}");
    let name = LoginName::Username("ada".to_owned());
    off(bench.auth.login(name, "lovelace".to_owned(), CLIENT).await.unwrap_err());
    off(bench.auth.refresh("x").await.unwrap_err());
    off(bench.auth.register(people::registration(), CLIENT).await.unwrap_err());
    let service = |algorithm| {
        let claims = bench.claims(json!({"token_type": "service"}));
        encode(&Header::new(algorithm), &claims, &signing_key(algorithm)).unwrap()
    };
    assert_eq!(bench.refusal(&service(Algorithm::RS256)).await, "it is not an access token");
    assert_eq!(bench.refusal(&service(Algorithm::HS256)).await, "its algorithm is not accepted");
    let token = signed(&bench, Algorithm::RS256, None);
    let principal = bench.auth.authenticate(&token).await.unwrap();
    for refresh in [Some("another issuer's"), None] {
        assert_eq!(bench.auth.logout(Some(&principal), refresh).await, Err(AuthError::NoLogin));
    }
    let proof = bench.auth.prove_password(&principal, "lovelace".to_owned(), CLIENT).await;
    off(proof.unwrap_err());
    off(bench.auth.check_resets().unwrap_err());
    off(bench.auth.check_confirmations(&principal).unwrap_err());
    off(bench.auth.no_such_link());
}

#[tokio::test]
async fn a_key_set_finds_the_key_by_name_or_the_only_one_of_its_algorithm() {
    use jsonwebtoken::jwk::Jwk;
    let jwk = |algorithm, kid: &str| {
        let mut jwk = Jwk::from_encoding_key(&signing_key(algorithm), algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        let mut value = serde_json::to_value(jwk).unwrap();
        value.as_object_mut().unwrap().remove("alg");
        value
    };
    let mut encrypts = jwk(Algorithm::RS256, "for encryption");
    encrypts["use"] = json!("enc");
    let shared = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "kid": "shared"});
    let unknown = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"});
    let keys = [
        jwk(Algorithm::RS256, "r"),
        jwk(Algorithm::ES256, "e"),
        jwk(Algorithm::EdDSA, "d"),
        encrypts,
        shared,
        unknown,
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"keys": keys}).to_string()).unwrap();
    let mut config = config();
    config.auth.jwks_file = Some(file.path().to_owned());
    let bench = bench(config).await;
    for (algorithm, kid, is_good) in [
        (Algorithm::RS256, Some("r"), true),
        (Algorithm::ES256, Some("e"), true),
        (Algorithm::EdDSA, Some("d"), true),
        (Algorithm::RS256, None, true),
        (Algorithm::ES256, None, true),
        (Algorithm::RS256, Some("e"), false),
        (Algorithm::RS384, Some("r"), false),
        (Algorithm::EdDSA, None, true),
        (Algorithm::RS256, Some("gone"), false),
        (Algorithm::RS256, Some("for encryption"), false),
        (Algorithm::HS256, Some("shared"), false),
        (Algorithm::HS256, None, false),
    ] {
        let answer = bench.auth.authenticate(&signed(&bench, algorithm, kid)).await;
        assert_eq!(answer.is_ok(), is_good, "{algorithm:?} {kid:?} {answer:?}");
    }
}

/// A bench whose tokens are those of a set with these keys.
async fn with_set(keys: &[Value]) -> Result<Bench, AuthStartError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"keys": keys}).to_string()).unwrap();
    let mut config = config();
    config.auth.jwks_file = Some(file.path().to_owned());
    let store = Arc::new(FakeStore::default());
    Auth::assemble(&config, store, Arc::new(StillClock::new())).await?;
    Ok(bench(config).await)
}

fn jwk(algorithm: Algorithm, kid: Option<&str>) -> Value {
    let key = signing_key(algorithm);
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, algorithm).unwrap();
    jwk.common.key_id = kid.map(str::to_owned);
    serde_json::to_value(jwk).unwrap()
}

#[tokio::test]
async fn a_key_of_a_set_that_cannot_be_used_leaves_the_others() {
    let rsa = |n: &str| json!({"kty": "RSA", "kid": "bad", "e": "AQAB", "n": n});
    let ec = |x: &str| json!({"kty": "EC", "crv": "P-256", "kid": "bad", "x": x, "y": x});
    let ed = |x: &str| json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": x});
    let off_the_curve = URL_SAFE_NO_PAD.encode([7; 32]);
    let bad = [
        rsa(&URL_SAFE_NO_PAD.encode([0xc3; 128])),
        rsa("not base64url!"),
        rsa(""),
        json!({"kty": "RSA", "kid": "bad", "e": "", "n": URL_SAFE_NO_PAD.encode([0xc3; 256])}),
        json!({"kty": "RSA", "kid": "bad"}),
        json!({"kty": "RSA", "kid": 7, "e": 3, "n": {}}),
        ec(&off_the_curve),
        ec("AAAA"),
        ec(""),
        ed("AAAA"),
        ed(""),
        ed(&URL_SAFE_NO_PAD.encode([7; 33])),
        ed("\u{fc}"),
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "RS256", "x": off_the_curve}),
        json!({"kty": "AKP"}),
        json!({"kty": 7}),
        json!({}),
        json!(null),
        json!("text"),
        json!([]),
    ];
    for bad in bad {
        for keys in [
            [bad.clone(), jwk(Algorithm::RS256, Some("good"))],
            [jwk(Algorithm::RS256, Some("good")), bad.clone()],
        ] {
            let bench = with_set(&keys).await.unwrap_or_else(|error| panic!("{bad}: {error}"));
            let token = signed(&bench, Algorithm::RS256, Some("good"));
            assert!(bench.auth.authenticate(&token).await.is_ok(), "{bad}");
        }
        let refused = with_set(std::slice::from_ref(&bad)).await.map(drop).err();
        let refused = refused.unwrap_or_else(|| panic!("{bad} is taken for a key"));
        assert!(refused.to_string().ends_with("has no public key that signs"), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn of_several_keys_of_one_id_or_none_each_that_fits_is_tried() {
    let other_rsa = || {
        // A key of the right size that signed nothing here.
        let mut other = jwk(Algorithm::RS256, Some("k"));
        let mut n = vec![0xc3; 256];
        n[255] = 0xc5;
        other["n"] = URL_SAFE_NO_PAD.encode(n).into();
        other
    };
    let is_good = async |keys: &[Value], algorithm, kid| {
        let bench = with_set(keys).await.unwrap();
        bench.auth.authenticate(&signed(&bench, algorithm, kid)).await.is_ok()
    };
    let mixed = [jwk(Algorithm::ES256, Some("k")), jwk(Algorithm::RS256, Some("k"))];
    assert!(is_good(&mixed, Algorithm::RS256, Some("k")).await);
    assert!(is_good(&mixed, Algorithm::ES256, Some("k")).await);
    let two = [other_rsa(), jwk(Algorithm::RS256, Some("k"))];
    assert!(is_good(&two, Algorithm::RS256, Some("k")).await);
    assert!(is_good(&two, Algorithm::RS256, None).await, "simplejwt names no key");
    let unnamed = [other_rsa(), jwk(Algorithm::RS256, None)];
    assert!(is_good(&unnamed, Algorithm::RS256, Some("gone")).await);
    assert!(!is_good(&unnamed, Algorithm::RS256, Some("k")).await, "it is another key's");
    let mut ed25519 = jwk(Algorithm::EdDSA, Some("d"));
    ed25519["alg"] = "Ed25519".into();
    assert!(is_good(&[ed25519], Algorithm::EdDSA, Some("d")).await);
    // There is a bound: a client can make up any token.
    let many = |others: usize| {
        let mut keys = vec![other_rsa(); others];
        keys.push(jwk(Algorithm::RS256, Some("k")));
        keys
    };
    assert!(is_good(&many(7), Algorithm::RS256, Some("k")).await);
    assert!(!is_good(&many(8), Algorithm::RS256, Some("k")).await);
}

#[tokio::test]
async fn a_key_that_will_not_do_is_refused_at_start() {
    let start = async |config: Config| {
        let store = Arc::new(FakeStore::default());
        let clock = Arc::new(StillClock::new());
        Auth::assemble(&config, store, clock).await.unwrap_err().to_string()
    };
    for (file, why) in [
        ("rsa.pem", "is a private key; give the public key alone"),
        ("rsa1024.pub.pem", "has an RSA key of less than 2048 bits"),
        ("p384.pub.pem", "has a key of a kind that is not accepted (RSA, P-256 or Ed25519)"),
        ("../lib.rs", "is not a PEM public key (RSA, P-256 or Ed25519)"),
    ] {
        let text = start(with_public_key(file)).await;
        assert!(text.starts_with("auth.public_key_file: ") && text.ends_with(why), "{text}");
    }
    assert!(start(with_public_key("missing.pem")).await.contains("No such file"));
    let mut config = config();
    config.auth.jwks_file = Some(key_file("rsa.pub.pem"));
    assert!(start(config).await.ends_with("is not a JSON Web Key Set"));
}

#[tokio::test]
async fn an_audience_is_asked_for_where_one_is_set() {
    let mut config = config();
    config.auth.audience = Some("bellpull".to_owned());
    let bench = bench(config).await;
    for (aud, is_good) in [
        (json!("bellpull"), true),
        (json!(["other", "bellpull"]), true),
        (json!("other"), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let token = bench.token(json!({ "aud": aud }));
        assert_eq!(bench.auth.authenticate(&token).await.is_ok(), is_good, "{aud}");
    }
}

#[tokio::test]
async fn an_issuer_is_asked_for_where_one_is_set_and_named_in_our_own_tokens() {
    let mut config = config();
    config.auth.issuer = Some("https://hub.example.com".to_owned());
    let bench = bench(config).await;
    for (iss, is_good) in [
        (json!("https://hub.example.com"), true),
        (json!("https://hub.example.com/"), false),
        (json!(["https://hub.example.com"]), false),
        (json!(null), false),
    ] {
        let token = bench.token(json!({ "iss": iss }));
        assert_eq!(bench.auth.authenticate(&token).await.is_ok(), is_good, "{iss}");
    }
    let name = LoginName::Username("ada".to_owned());
    let (tokens, _) = bench.auth.login(name, "lovelace".to_owned(), CLIENT).await.unwrap();
    assert!(bench.auth.authenticate(&tokens.access).await.is_ok());
    assert!(bench.auth.refresh(&tokens.refresh).await.is_ok());
    let issuer = Issuer::new(&Secret::new(SECRET.to_owned()));
    let unnamed = issuer.service(bench.clock.now()).unwrap();
    assert_eq!(bench.refusal(&unnamed).await, "its issuer is not accepted");
    let named = issuer.named(Some("https://hub.example.com")).service(bench.clock.now()).unwrap();
    assert!(bench.auth.authenticate(&named).await.is_ok());
}

#[tokio::test]
async fn a_service_token_has_all_rights_for_as_long_as_its_signer_says_up_to_a_setting() {
    let bench = bench(config()).await;
    let issuer = Issuer::new(&Secret::new(SECRET.to_owned()));
    let token = issuer.service(bench.clock.now()).unwrap();
    let principal = bench.auth.authenticate(&token).await.unwrap();
    assert!(principal.is_service && principal.login.is_none());
    assert_eq!((principal.user.id, principal.user.username.as_str()), (UserId(0), "service"));
    assert_eq!(principal.user.role, Role::SuperAdmin);
    bench.clock.advance_ms(60_000);
    assert_eq!(bench.refusal(&token).await, "it has expired");
    let hour = bench.token(json!({"token_type": "service", "exp": bench.now_s() + 3_600}));
    assert!(bench.auth.authenticate(&hour).await.is_ok());
    // Beyond what clocks may differ by.
    let long = bench.token(json!({"token_type": "service", "exp": bench.now_s() + 3_661}));
    assert_eq!(bench.refusal(&long).await, "it lives longer than auth.service_ttl_s");
    for (name, is_good) in [
        (json!("billing-2.eu_1"), true),
        (json!(""), false),
        (json!("a b"), false),
        (json!(7), false),
    ] {
        let claims = json!({"token_type": "service", "service": name, "exp": bench.now_s() + 60});
        let token = bench.token(claims);
        if !is_good {
            assert_eq!(bench.refusal(&token).await, "its service is no name", "{name}");
            continue;
        }
        let principal = bench.auth.authenticate(&token).await.unwrap();
        assert_eq!(principal.service(), Some("billing-2.eu_1"));
        assert_eq!(principal.user.username, "service:billing-2.eu_1");
    }
}
