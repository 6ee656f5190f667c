//! The page that comes with the hub.

use reqwest::Method;
use serde_json::json;

use crate::support::{Hub, answer};

#[tokio::test]
async fn the_console_and_its_files_are_served_and_run_nothing_of_others() {
    let hub = Hub::start().await;
    let page = hub.request(Method::GET, "/console/").send().await.unwrap().text().await.unwrap();
    let asset = |kind: &str| {
        let from = page.find("/console/assets/").unwrap();
        let mut parts = page[from..].split('"').filter(|part| part.starts_with("/console/assets/"));
        parts.find(|part| part.ends_with(kind)).unwrap().to_owned()
    };
    let (script, style) = (asset(".js"), asset(".css"));
    for (path, kind, cache, says) in [
        ("/console/", "text/html", "no-cache", "<title>Bellpull</title>"),
        ("/console", "text/html", "no-cache", "<title>Bellpull</title>"),
        ("/console/tickets/5", "text/html", "no-cache", "<title>Bellpull</title>"),
        (&script, "text/javascript", "immutable", "/client/bellpull.js"),
        (&style, "text/css", "immutable", "[hidden]"),
        ("/console/workflow.js", "text/javascript", "no-cache", "start_work"),
        ("/console/push-worker.js", "text/javascript", "no-cache", "showNotification"),
    ] {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        assert!(header("cache-control").contains(cache), "{path}");
        assert!(header("content-security-policy").contains("script-src 'self'"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert!(response.text().await.unwrap().contains(says), "{path}");
    }
    let gzip = hub.request(Method::GET, &script).header("accept-encoding", "br, gzip;q=0.8");
    let response = gzip.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["vary"], "accept-encoding");
    let size = response.bytes().await.unwrap().len();
    assert!(size < 150 * 1024, "{size} bytes");
    let first = hub.request(Method::GET, "/console/").send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = hub.request(Method::GET, "/console/").header("if-none-match", tag);
    assert_eq!(again.send().await.unwrap().status().as_u16(), 304);
    let gone = hub.request(Method::GET, "/console/assets/index-old.js").send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 404, "an asset of an earlier version");
    for (path, status) in
        [("/client/bellpull.js", 200), ("/client/bellpull.d.ts", 200), ("/unsubscribe/x/", 404)]
    {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let headers = response.headers();
        let header = |name: &str| headers.get(name).map_or("", |one| one.to_str().unwrap());
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
    }
    hub.stop().await;
}

#[tokio::test]
async fn browsers_are_led_to_the_console_and_others_find_nothing() {
    let hub = Hub::start().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = hub.request(Method::GET, "/").header("accept", browser).send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/console/"));
    assert!(page.text().await.unwrap().contains("<title>Bellpull</title>"));
    // The links of tickets in mails.
    let link = hub.request(Method::GET, "/tickets/61/").header("accept", browser);
    let page = link.send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/console/tickets/61"));
    for path in ["/tickets/61/", "/tickets/x/"] {
        let (status, _) = answer(hub.request(Method::GET, path).header("accept", "*/*")).await;
        assert_eq!(status, 404, "{path}");
    }
    for (method, accept) in [
        (Method::GET, "*/*"),
        (Method::GET, "application/json"),
        (Method::POST, browser),
        (Method::DELETE, "*/*"),
    ] {
        let request = hub.request(method.clone(), "/").header("accept", accept);
        let (status, body) = answer(request).await;
        assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{method} {accept}");
    }
    hub.stop().await;
}
