//! The page that comes with the hub.

use reqwest::Method;

use crate::support::Hub;

#[tokio::test]
async fn the_console_and_its_files_are_served_and_run_nothing_of_others() {
    let hub = Hub::start().await;
    for (path, kind, says) in [
        ("/console/", "text/html", "<title>Bellpull</title>"),
        ("/console", "text/html", "<title>Bellpull</title>"),
        ("/console/console.js", "text/javascript", "/client/bellpull.js"),
        ("/console/console.css", "text/css", "[hidden]"),
    ] {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        assert!(header("content-security-policy").contains("script-src 'self'"), "{path}");
        assert!(response.text().await.unwrap().contains(says), "{path}");
    }
    hub.stop().await;
}
