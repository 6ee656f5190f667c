//! What is queued for a connection, and the limits.

use bellpull_port::budget::Budget;

use super::*;

#[tokio::test]
async fn frames_leave_together_and_in_order_and_an_idle_session_holds_no_buffer() {
    for line in LINES {
        frames_leave_together(line).await;
    }
}

async fn frames_leave_together(line: Line) {
    let Pair { mut client, mut outlet, .. } = pair_over(line).await;
    outlet.push(Outgoing::Truncated { skipped: 2 });
    outlet.push(Outgoing::Ping);
    outlet.push(Outgoing::Notification { entry: &entry(7, 300), unread_count: 0 });
    assert!(outlet.waiting_bytes() > 300);
    outlet.flush().unwrap();
    assert_eq!((outlet.waiting_bytes(), outlet.held_bytes()), (0, 0));
    assert_eq!(next_text(&mut client).await, r#"{"type":"backlog_truncated","skipped":2}"#);
    assert_eq!(next_frame(&mut client).await, Some((0x89, Vec::new())));
    assert!(next_text(&mut client).await.ends_with(r#","id":7,"seq":7}"#));
}

#[tokio::test]
async fn a_reader_too_slow_gets_whole_frames_and_then_the_reason() {
    for line in LINES {
        reads_too_slowly(line).await;
    }
}

async fn reads_too_slowly(line: Line) {
    let Pair { mut client, mut outlet, .. } = pair_over(line).await;
    let (count, broken) = push_until_refused(&mut outlet, 2_000);
    assert_eq!(broken, Broken::TooSlow);
    assert!(count > 256, "{count}");
    outlet.close(Ending::TooSlow);
    for id in 1..=count {
        let (first, payload) = next_frame(&mut client).await.unwrap();
        if first == 0x88 {
            assert_eq!(payload[..2], 4413_u16.to_be_bytes());
            assert!(id > 1, "what was out before came before");
            assert_eq!(next_frame(&mut client).await, None);
            return;
        }
        let text = String::from_utf8(payload).unwrap();
        assert!(text.ends_with(&format!(r#","id":{id},"seq":{id}}}"#)), "{text}");
    }
    panic!("what waited was not to be sent");
}

#[tokio::test]
async fn the_bytes_that_wait_are_bounded_too() {
    for line in LINES {
        bytes_are_bounded(line).await;
    }
}

async fn bytes_are_bounded(line: Line) {
    let Pair { client: _client, mut outlet, .. } = pair_over(line).await;
    let (count, broken) = push_until_refused(&mut outlet, 100_000);
    assert_eq!(broken, Broken::TooSlow);
    assert!((10..=32).contains(&count), "{count}");
}

#[tokio::test]
async fn what_waits_is_counted_in_the_budget_of_all_sessions_until_it_is_written() {
    for line in LINES {
        is_counted(line).await;
    }
}

async fn is_counted(line: Line) {
    let Pair { mut client, mut outlet, mut heard, .. } = pair_over(line).await;
    let unsent = Budget::new(64 << 20);
    assert_eq!(outlet.count(&unsent), Ok(()), "nothing waits");
    for id in 1..=2_000 {
        outlet.push(Outgoing::Notification { entry: &entry(id, 4_000), unread_count: 0 });
    }
    outlet.flush().unwrap();
    let waiting = outlet.waiting_bytes();
    assert!(waiting > 1 << 20, "{waiting}");
    assert_eq!(outlet.count(&unsent), Ok(()));
    let free = || unsent.try_reserve((64 << 20) - waiting).is_some();
    assert!(free() && unsent.try_reserve((64 << 20) - waiting + 1).is_none());
    assert_eq!(outlet.stalled_s(), 0);
    let writer = tokio::spawn(async move {
        while outlet.waiting_bytes() > 0 {
            assert!(matches!(next_heard(&mut heard).await, Heard::Writable));
            outlet.flush().unwrap();
        }
        outlet
    });
    for _ in 1..=2_000 {
        next_text(&mut client).await;
    }
    let mut outlet = writer.await.unwrap();
    assert!(unsent.try_reserve(64 << 20).is_some(), "all of it was given back");
    let (_, broken) = push_until_refused(&mut outlet, 100_000);
    assert_eq!(broken, Broken::TooSlow);
    assert_eq!(outlet.count(&Budget::new(1_000_000)), Ok(()), "as much as there is");
    drop(outlet);
}

#[tokio::test]
async fn a_session_for_which_the_budget_has_no_room_is_too_slow() {
    for line in LINES {
        has_no_room(line).await;
    }
}

async fn has_no_room(line: Line) {
    let Pair { client: _client, mut outlet, .. } = pair_over(line).await;
    let unsent = Budget::new(1 << 20);
    let _others = unsent.try_reserve(1 << 20);
    while outlet.waiting_bytes() == 0 {
        outlet.push(Outgoing::Notification { entry: &entry(1, 60_000), unread_count: 0 });
        outlet.flush().unwrap();
    }
    assert_eq!(outlet.count(&unsent), Err(Broken::TooSlow));
}

#[tokio::test]
async fn a_long_backlog_at_once_is_not_too_slow_but_what_is_added_to_it_may_be() {
    for line in LINES {
        has_a_long_backlog(line).await;
    }
}

async fn has_a_long_backlog(line: Line) {
    let Pair { mut client, mut outlet, mut heard, .. } = pair_over(line).await;
    for id in 1..=500 {
        outlet.push(Outgoing::Notification { entry: &entry(id, 4_000), unread_count: 0 });
    }
    outlet.flush().unwrap();
    for id in 501..=600 {
        outlet.push(Outgoing::Notification { entry: &entry(id, 100), unread_count: 0 });
        outlet.flush().unwrap();
    }
    // The actor is told whenever the connection accepts more.
    let writer = tokio::spawn(async move {
        while outlet.waiting_bytes() > 0 {
            assert!(matches!(next_heard(&mut heard).await, Heard::Writable));
            outlet.flush().unwrap();
        }
        assert_eq!(outlet.held_bytes(), 0);
        outlet
    });
    for id in 1..=600 {
        let text = next_text(&mut client).await;
        assert!(text.ends_with(&format!(r#","id":{id},"seq":{id}}}"#)), "{text}");
    }
    let mut outlet = writer.await.unwrap();
    let (count, broken) = push_until_refused(&mut outlet, 2_000);
    assert_eq!(broken, Broken::TooSlow);
    assert!(count > 256, "{count}");
}

#[tokio::test]
async fn a_writable_connection_is_reported_once_the_session_is_bound() {
    let Pair { mut client, shared: first, .. } = pair().await;
    drop(first);
    next_frame(&mut client).await; // The outlet was dropped with the pair.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let shared = Shared::new(stream, None, read_state());
    assert!(shared.begin_waiting());
    shared.end_waiting();
    let (sink, mut heard) = unbounded_channel();
    shared.bind_session(MessageSink::Probe(sink), 1);
    assert!(matches!(next_heard(&mut heard).await, Heard::Writable));
    assert!(heard.try_recv().is_err());
}
