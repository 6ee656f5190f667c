//! What stands between a client and the hub: links that lead back, and headers that count.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::actor;
use crate::support::{Hub, Person, answer};

/// The link to the second page of the users, as a client behind a proxy with HTTPS gets it.
async fn next_link(hub: &Hub, who: &Person) -> Value {
    let request = hub.request(Method::GET, "/api/users/?page_size=1").bearer_auth(&who.token);
    let (status, page) = answer(request.header("x-forwarded-proto", "https")).await;
    assert_eq!(status, 200, "{page}");
    page["next"].clone()
}

#[tokio::test]
async fn links_between_pages_begin_with_the_public_url() {
    let url = "https://hub.example.com";
    let hub = Hub::start_with(|config| config.http.public_url = Some(url.to_owned())).await;
    let root = hub.user("root", "super_admin").await;
    hub.user("ada", "client").await;
    assert_eq!(next_link(&hub, &root).await, format!("{url}/api/users/?page_size=1&page=2"));
}

#[tokio::test]
async fn the_scheme_that_a_client_claims_does_not_count() {
    for is_trusted in [false, true] {
        let hub = Hub::start_with(|config| {
            let proxies = is_trusted.then(|| "127.0.0.0/8".parse().unwrap());
            config.http.trusted_proxies = proxies.into_iter().collect();
        })
        .await;
        let root = hub.user("root", "super_admin").await;
        hub.user("ada", "client").await;
        let scheme = if is_trusted { "https" } else { "http" };
        let wanted = format!("{scheme}://{}/api/users/?page_size=1&page=2", hub.address());
        assert_eq!(next_link(&hub, &root).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_the_clients_of_sessions_behind_a_proxy() {
    let hub = Hub::start_with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let (root, ada) = (hub.user("root", "super_admin").await, hub.user("ada", "client").await);
    let headers = [("x-forwarded-for", "203.0.113.7"), ("user-agent", "Firefox/999")];
    let url = format!("ws://{}/ws/?token={}", hub.address(), ada.token);
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (_socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let path = "/api/notifications/stream/";
    let stream = hub.request(Method::GET, path).bearer_auth(&ada.token);
    let stream =
        headers.iter().fold(stream, |request, (name, value)| request.header(*name, *value));
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    let url = format!("ws://{}/ws/?token={}", hub.address(), ada.token);
    let (_direct, _) = tokio_tungstenite::connect_async(url).await.unwrap();

    let path = format!("user/{}", ada.id);
    let sessions = actor(&hub, &root, &path).await["observed"]["sessions"].clone();
    let column = |name: &str| -> Vec<Value> {
        sessions.as_array().unwrap().iter().map(|one| one[name].clone()).collect()
    };
    assert_eq!(column("address"), ["203.0.113.7", "203.0.113.7", "127.0.0.1"]);
    assert_eq!(column("agent"), [json!("Firefox/999"), json!("Firefox/999"), Value::Null]);
    let peers: Vec<bool> = column("peer").iter().map(Value::is_string).collect();
    assert_eq!(peers, [true, false, true], "the other side of a socket is the proxy");
    drop(stream);
}

#[tokio::test]
async fn a_page_of_the_public_url_opens_sockets_whatever_host_a_proxy_names() {
    let hub = Hub::start_with(|config| {
        config.http.public_url = Some("https://hub.example.com".to_owned());
        config.http.allowed_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let ada = hub.user("ada", "client").await;
    let own = format!("http://{}", hub.address());
    for (origin, opens) in [
        ("https://hub.example.com", true),
        ("https://app.example.com", true),
        (&own, true),
        ("http://hub.example.com", false),
        ("https://hub.example.com:8443", false),
        ("https://hub.example.com.evil.example", false),
    ] {
        let url = format!("ws://{}/ws/?token={}", hub.address(), ada.token);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let opened = tokio_tungstenite::connect_async(request).await.is_ok();
        assert_eq!(opened, opens, "{origin}");
    }
}
