//! How a session ends, from either side.

use super::*;

#[tokio::test]
async fn an_outlet_that_is_dropped_says_restart() {
    let Pair { mut client, outlet, .. } = pair().await;
    let actor = tokio::spawn(async move {
        let _outlet = outlet;
        panic!("the actor's end (this panic belongs to the test)");
    });
    assert!(actor.await.unwrap_err().is_panic());
    let (code, reason) = next_close(&mut client).await;
    assert_eq!(code, 1012);
    let reason: serde_json::Value = serde_json::from_str(&reason).unwrap();
    assert!(reason["retry_after_ms"].as_u64().unwrap() < 2_000);
}

#[tokio::test]
async fn a_client_that_keeps_sending_still_reads_why_it_was_closed() {
    let Pair { mut client, shared, outlet, .. } = pair().await;
    let weak = Arc::downgrade(&shared);
    drop(shared);
    outlet.close(Ending::TokenEnded(TokenEnd::Expired));
    for _ in 0..20 {
        client.write_all(&frame(0x81, &[b'x'; 900])).await.unwrap();
    }
    assert_eq!(next_close(&mut client).await, (4401, "token expired".to_owned()));
    // The end of the client is the end of the connection.
    drop(client);
    let freed = async {
        while weak.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(3), freed).await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_leaves_is_left_after_a_while() {
    let Pair { client, shared, outlet, .. } = pair().await;
    let weak = Arc::downgrade(&shared);
    drop(shared);
    outlet.close(Ending::Silent);
    let freed = async {
        while weak.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
    drop(client);
}

#[tokio::test]
async fn a_client_that_is_gone_is_noticed() {
    let Pair { client, mut outlet, mut heard, .. } = pair().await;
    drop(client);
    let heard = next_heard(&mut heard).await;
    assert!(matches!(heard, Heard::Ended(Ending::Closed { code: 1000 })), "{heard:?}");
    let (_, broken) = push_until_refused(&mut outlet, 2_000);
    assert_eq!(broken, Broken::Gone);
}

#[tokio::test]
async fn what_ends_a_session() {
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let long = frame(0x81, &[b'x'; 1_001]);
    let bad = frame(0x81, b"?").repeat(32);
    let fast = frame(0x8a, b"").repeat(101);
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(0x81, b"\xff"), 1007),
        (long[..4].to_vec(), 1009),
        (bad, 4400),
        (fast, 4429),
        (frame(0x88, b""), 1000),
    ] {
        let Pair { mut client, outlet, heard, .. } = pair().await;
        act(outlet, heard);
        client.write_all(&bytes).await.unwrap();
        loop {
            let (first, payload) = next_frame(&mut client).await.unwrap();
            if first == 0x88 {
                assert_eq!(payload[..2], u16::to_be_bytes(code), "{code}");
                break;
            }
            assert_eq!((first, code), (0x81, 4400), "errors come before an abuse only");
        }
    }
}
