//! What stands between a client and the hub: links that lead back, and headers that count.

use reqwest::Method;
use serde_json::Value;

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
    let url = "https://hub.example.com/desk";
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
