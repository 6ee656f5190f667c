//! What one client may have under way, and what happens beyond it.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Hub, Person};

const PATIENCE: Duration = Duration::from_secs(20);

/// A request for a ticket whose body is only begun.
async fn begin(hub: &Hub, who: &Person, length: usize, begun: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(hub.address()).await.unwrap();
    let head = format!(
        "POST /api/tickets/ HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        who.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(begun).await.unwrap();
    stream
}

/// Whether the caller may ask, and what it is told where it may not.
async fn ask(hub: &Hub, who: &Person) -> Option<Value> {
    let request = hub.request(Method::GET, "/api/auth/me/").bearer_auth(&who.token);
    let response = request.send().await.unwrap();
    if response.status() == 200 {
        return None;
    }
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
    Some(response.json().await.unwrap())
}

#[tokio::test]
async fn a_user_with_too_many_requests_under_way_is_told_so_and_others_are_not() {
    let hub = Hub::start_with(|config| config.http.max_requests_per_user = 2).await;
    let (carl, dora) = (hub.user("carl", "client").await, hub.user("dora", "client").await);
    let unfinished = [begin(&hub, &carl, 100, b"{").await, begin(&hub, &carl, 100, b"{").await];
    let began = Instant::now();
    let refused = loop {
        if let Some(refused) = ask(&hub, &carl).await {
            break refused;
        }
        assert!(began.elapsed() < PATIENCE, "a third request is never refused");
    };
    assert_eq!(refused["code"], "throttled");
    assert_eq!(ask(&hub, &dora).await, None);
    drop(unfinished);
    while ask(&hub, &carl).await.is_some() {
        assert!(began.elapsed() < PATIENCE, "what is over still counts");
    }
    hub.stop().await;
}

#[tokio::test]
async fn bodies_that_are_never_finished_use_up_their_own_users_part_of_the_budget_alone() {
    // 32 such bodies for all, 8 for each; 16 KiB of each are free, so that 9 fit.
    let hub = Hub::start_with(|config| config.http.max_body_bytes = 128 * 1024).await;
    let (carl, dora) = (hub.user("carl", "client").await, hub.user("dora", "client").await);
    let mut unfinished = Vec::new();
    for _ in 0..16 {
        unfinished.push(begin(&hub, &carl, 128 * 1024, &[b' '; 127 * 1024]).await);
    }
    let began = Instant::now();
    let mut refused = 0;
    while refused < 4 {
        assert!(began.elapsed() < Duration::from_secs(12), "{refused} of 16 bodies were refused");
        let mut stream = unfinished.remove(0);
        let mut answer = [0; 12];
        let read = timeout(Duration::from_millis(20), stream.read_exact(&mut answer)).await;
        match read {
            Ok(Ok(_)) => {
                assert_eq!(answer, *b"HTTP/1.1 503");
                refused += 1;
            }
            Ok(Err(error)) => panic!("no answer: {error}"),
            Err(_) => unfinished.push(stream),
        }
    }
    let description = "x".repeat(20_000);
    let ticket = json!({"title": "large", "description": description});
    assert_eq!(hub.post(&dora, "/api/tickets/", ticket.clone()).await.0, 201);
    drop(unfinished);
    while hub.post(&carl, "/api/tickets/", ticket.clone()).await.0 != 201 {
        assert!(began.elapsed() < PATIENCE, "what is over still counts");
    }
    hub.stop().await;
}
