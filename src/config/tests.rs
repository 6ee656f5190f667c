//! Precedence, typos, ranges, and that secrets stay secret.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Sources { env, ..Sources::default() }
}

fn file(text: &str) -> Sources {
    Sources { file: Some(("bellpull.toml".to_owned(), text.to_owned())), ..Sources::default() }
}

fn refused(sources: &Sources) -> String {
    let text = Config::load(sources).unwrap_err().to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

#[test]
fn what_is_not_set_is_what_the_table_says() {
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.database_url.reveal(), "sqlite://bellpull.db");
    assert_eq!(config.dialect, Dialect::Incident);
    assert!(config.jwt_secret.is_none() && config.operator_listen.is_none());
    assert!(config.auth.public_key_file.is_none() && config.auth.audience.is_none());
    assert!(config.auth.registration && !config.auth.auto_provision && !config.log_json);
    assert_eq!(config.auth.registrations_per_min, 60);
    assert!(config.auth.verify_email);
    assert_eq!((config.auth.access_ttl_s, config.auth.refresh_ttl_s), (3600, 604_800));
    assert_eq!((config.ws.max_frame, config.ws.max_sessions_per_user), (65_536, 32));
    assert_eq!((config.ws.max_connections, config.ws.messages_per_s), (100_000, 20));
    assert_eq!((config.ws.ping_after_s, config.ws.silent_max_s), (25, 75));
    assert_eq!((config.replay_limit, config.drain_window_ms), (500, 10_000));
    assert_eq!(config.drain_notice_ms, 3_000);
    assert_eq!((config.http.max_body_bytes, config.log_filter.as_str()), (1 << 20, "info"));
    assert!(config.http.allowed_origins.is_empty());
    assert!(config.auth.issuer.is_none());
    assert_eq!(config.http.writes_per_s, 10);
}

#[test]
fn a_flag_counts_before_the_environment_before_the_file_before_the_default() {
    let mut all = file("[ws]\nmax_frame = 1001\nping_after_s = 31\n[replay]\nlimit = 41");
    all.env = env(&[("BELLPULL_WS_MAX_FRAME", "1002"), ("BELLPULL_WS_PING_AFTER_S", "32")]).env;
    all.flags = vec![("ws.max_frame", "1003".to_owned())];
    let config = Config::load(&all).unwrap();
    assert_eq!(
        (config.ws.max_frame, config.ws.ping_after_s, config.replay_limit, config.ws.silent_max_s),
        (1003, 32, 41, 75)
    );
}

#[test]
fn names_follow_from_the_key() {
    let named = |key: &str| {
        let setting = table::find(key).unwrap();
        (setting.flag(), setting.env())
    };
    let pair = |flag: &str, env: &str| (flag.to_owned(), env.to_owned());
    assert_eq!(named("ws.max_frame"), pair("ws-max-frame", "BELLPULL_WS_MAX_FRAME"));
    assert_eq!(named("database_url"), pair("database", "BELLPULL_DATABASE_URL"));
    assert_eq!(named("redis_url"), pair("redis", "BELLPULL_REDIS_URL"));
    assert_eq!(named("jwt_secret"), pair("jwt-secret", "BELLPULL_JWT_SECRET"));
    assert_eq!(
        named("auth.auto_provision"),
        pair("auth-auto-provision", "BELLPULL_AUTH_AUTO_PROVISION")
    );
}

#[test]
fn no_two_settings_share_a_name() {
    for name in [|s: &table::Setting| s.key.to_owned(), table::Setting::flag, table::Setting::env] {
        let mut names: Vec<String> = table::SETTINGS.iter().map(name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), table::SETTINGS.len());
    }
    for key in table::STORE_KEYS {
        assert!(table::find(key).is_some(), "{key}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        refused(&env(&[("BELLPULL_WS_MAXFRAME", "1")])),
        "BELLPULL_WS_MAXFRAME: no such setting; did you mean BELLPULL_WS_MAX_FRAME?"
    );
    assert_eq!(
        refused(&file("[ws]\nmax_frames = 1")),
        "bellpull.toml: ws.max_frames: no such setting; did you mean ws.max_frame?"
    );
    assert_eq!(refused(&file("zzz = 1")), "bellpull.toml: zzz: no such setting");
    assert_eq!(refused(&env(&[("BELLPULL_QQQ", "")])), "BELLPULL_QQQ: no such setting");
    assert!(refused(&file("a = [")).starts_with("bellpull.toml: line 1: "));
    assert!(Config::load(&env(&[("BELLPULL_CONFIG", "x")])).is_ok(), "not a setting, but ours");
}

#[test]
fn a_wrong_value_is_refused_and_named() {
    for (name, value, problem) in [
        ("WS_MAX_FRAME", "12x", "12x is not a number of bytes from 125 to 16777216"),
        ("WS_MAX_FRAME", "124", "124 is not a number of bytes from 125 to 16777216"),
        ("WS_MAX_FRAME", "-1", "-1 is not a number of bytes from 125 to 16777216"),
        ("WS_MAX_FRAME", "+125", "+125 is not a number of bytes from 125 to 16777216"),
        ("LISTEN", "8000", "8000 is not an address and port such as 127.0.0.1:8000"),
        ("LOG", "xml", "xml is not one of: text, json"),
        ("DIALECT", "klingon", &format!("klingon is not one of: {}", Dialect::NAMES.join(", "))),
        ("AUTH_AUTO_PROVISION", "yes", "yes is neither true nor false"),
        (
            "DATABASE_URL",
            "mysql://u:pw@h/d",
            "mysql is neither sqlite://PATH nor sqlite::memory: nor \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "DATABASE_URL",
            "sqlite://",
            "sqlite is neither sqlite://PATH nor sqlite::memory: nor \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "DATABASE_URL",
            "postgres://u:pw@h",
            "names no database: write postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "REDIS_URL",
            "http://:pw@h",
            "not a URL such as redis://USER:PASSWORD@HOST:PORT, with rediss:// for TLS and \
             redis-cluster:// for a cluster; in a password write % and two hexadecimal digits for \
             each of /?#@:% and a space",
        ),
        (
            "HTTP_ALLOWED_ORIGINS",
            "https://a.example,app.example.com",
            "app.example.com is not an origin such as https://app.example.com, nor *",
        ),
        (
            "HTTP_TRUSTED_PROXIES",
            "10.0.0.0/8,proxy.example",
            "proxy.example is not an address or a network such as 10.0.0.0/8",
        ),
        (
            "HTTP_TRUSTED_PROXIES",
            "10.0.0.0/33",
            "10.0.0.0/33 is not an address or a network such as 10.0.0.0/8",
        ),
        ("WS_SILENT_MAX_S", "25", "must be greater than ws.ping_after_s"),
    ] {
        let name = format!("BELLPULL_{name}");
        assert_eq!(refused(&env(&[(&name, value)])), format!("{name}: {problem}"));
    }
    let flag = Sources { flags: vec![("replay.limit", "0".to_owned())], ..Sources::default() };
    assert_eq!(
        refused(&flag),
        "--replay-limit: 0 is not a number of notifications from 1 to 10000"
    );
    assert_eq!(refused(&file("listen = [1]")), "bellpull.toml: listen: takes IP:PORT, not this");
    let both = [("BELLPULL_AUTH_JWKS_FILE", "a"), ("BELLPULL_AUTH_PUBLIC_KEY_FILE", "b")];
    assert_eq!(
        refused(&env(&both)),
        "BELLPULL_AUTH_JWKS_FILE: cannot be set together with auth.public_key_file"
    );
}

#[test]
fn a_channel_is_on_when_its_settings_are_there_and_half_of_them_are_a_mistake() {
    use bellpull_domain::routing::{Channel, Channels};
    // Webhooks need no settings: only users who create one are affected.
    let by_itself = Channels::of(&[Channel::Webhook]);
    assert_eq!(Config::default().delivery.channels(), by_itself);
    let all = env(&[
        ("BELLPULL_SMTP_URL", "smtp://u:hunter2@mail.example:587?tls=required"),
        ("BELLPULL_SMTP_FROM", "Desk <desk@example.com>"),
        ("BELLPULL_WHATSAPP_TOKEN", "hunter2"),
        ("BELLPULL_WHATSAPP_PHONE_NUMBER_ID", "1055"),
        ("BELLPULL_WHATSAPP_API_URL", "http://127.0.0.1:9/v1/"),
        ("BELLPULL_WHATSAPP_APP_SECRET", "hunter2"),
        ("BELLPULL_WHATSAPP_VERIFY_TOKEN", "hunter2"),
        ("BELLPULL_SMS_ACCOUNT", "AC1"),
        ("BELLPULL_SMS_TOKEN", "hunter2"),
        ("BELLPULL_SMS_FROM", "+4930"),
        ("BELLPULL_RETRY_BASE_MS", "50"),
    ]);
    let config = Config::load(&all).unwrap();
    let three = Channels::of(&[Channel::Email, Channel::WhatsApp, Channel::Sms]);
    assert_eq!(config.delivery.channels(), three.or(by_itself));
    assert!(!format!("{config:?}").contains("hunter2"));
    let whatsapp = config.delivery.whatsapp.unwrap();
    assert_eq!(whatsapp.api_url, "http://127.0.0.1:9/v1");
    assert_eq!((config.delivery.retry.base_ms, config.delivery.retry.attempts), (50, 8));
    for (name, missing) in [
        ("SMTP_URL", "smtp.from: must be set together with smtp.url"),
        ("SMTP_FROM", "smtp.url: must be set together with smtp.from"),
        ("WHATSAPP_TOKEN", "whatsapp.phone_number_id: must be set together with whatsapp.token"),
        ("SMS_TOKEN", "sms.account: must be set together with sms.token"),
        ("SMS_ACCOUNT", "sms.token: must be set together with sms.account"),
    ] {
        assert_eq!(refused(&env(&[(&format!("BELLPULL_{name}"), "x")])), missing);
    }
    for (url, problem) in [
        ("hub.example", "hub.example is not a URL such as https://hub.example.com"),
        ("http://u:hunter2@h:x", "h:x is not a URL such as https://hub.example.com"),
        ("ftp://hub.example", "ftp://hub.example is not a URL such as https://hub.example.com"),
        ("https://h/?a", "https://h/?a is not a URL such as https://hub.example.com"),
        ("https://u:hunter2@h/", "must have no user and no password"),
    ] {
        let refused = refused(&env(&[("BELLPULL_HTTP_PUBLIC_URL", url)]));
        assert_eq!(refused, format!("BELLPULL_HTTP_PUBLIC_URL: {problem}"));
    }
}

#[test]
fn a_value_that_is_overruled_is_checked_too() {
    let mut both = file("log = 'xml'");
    both.flags = vec![("log", "json".to_owned())];
    assert_eq!(refused(&both), "bellpull.toml: log: xml is not one of: text, json");
}

#[test]
fn origins_are_kept_as_browsers_send_them() {
    let text = " https://App.example.com:443 , http://localhost:5173,";
    let config = Config::load(&env(&[("BELLPULL_HTTP_ALLOWED_ORIGINS", text)])).unwrap();
    assert_eq!(config.http.allowed_origins, ["https://app.example.com", "http://localhost:5173"]);
    let list = file("[http]\nallowed_origins = ['*', 'https://b.example']");
    let config = Config::load(&list).unwrap();
    assert_eq!(config.http.allowed_origins, ["*", "https://b.example"]);
}

#[test]
fn proxies_are_addresses_and_networks() {
    let text = "127.0.0.1, 10.0.0.0/8,::1 ,2001:db8::/32,::ffff:192.0.2.1";
    let config = Config::load(&env(&[("BELLPULL_HTTP_TRUSTED_PROXIES", text)])).unwrap();
    let shown: Vec<String> = config.http.trusted_proxies.iter().map(ToString::to_string).collect();
    let wanted = ["127.0.0.1/32", "10.0.0.0/8", "::1/128", "2001:db8::/32", "192.0.2.1/32"];
    assert_eq!(shown, wanted);
    let list = file("[http]\ntrusted_proxies = ['10.0.0.1', '10.0.0.2']");
    assert_eq!(Config::load(&list).unwrap().http.trusted_proxies.len(), 2);
    assert!(Config::default().http.trusted_proxies.is_empty());
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = Config::load(&env(&[("BELLPULL_REDIS_URL", ""), ("BELLPULL_LOG", "")])).unwrap();
    assert!(!config.log_json);
    assert_eq!(refused(&file("jwt_secret = ''")), "bellpull.toml: jwt_secret: must not be empty");
}

#[test]
fn a_secret_is_in_no_debug_and_in_no_error() {
    let sources = env(&[("BELLPULL_JWT_SECRET", "hunter2hunter2hunter2")]);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.jwt_secret.as_ref().unwrap().reveal(), "hunter2hunter2hunter2");
    assert!(!format!("{config:?}{sources:?}").contains("hunter2"));
    let odd = refused(&file("jwt_secret = ['hunter2', 1]"));
    assert!(!odd.contains("hunter2"), "{odd}");
}

#[test]
fn the_public_url_is_the_root_of_a_host() {
    for good in ["https://hub.example.com", "https://hub.example.com/", "http://10.0.0.1:8000"] {
        let config = Config::load(&env(&[("BELLPULL_HTTP_PUBLIC_URL", good)])).unwrap();
        assert_eq!(config.http.origins(), [good.trim_end_matches('/')]);
    }
    for path in ["bell", "bell/", "bell/hub"] {
        let url = format!("https://hub.example.com/{path}");
        let text = refused(&env(&[("BELLPULL_HTTP_PUBLIC_URL", &url)]));
        assert!(text.contains("must have no path") && text.contains("hub.example.com"), "{text}");
    }
}
