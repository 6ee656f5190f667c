//! Messages on an open session.

use super::*;

#[tokio::test]
async fn a_conversation() {
    let Pair { mut client, outlet, heard, .. } = pair().await;
    act(outlet, heard);
    let said = [
        frame(0x01, br#"{"type":"ping","#),
        frame(0x89, b"still there?"),
        frame(0x80, br#""timestamp":12.50}"#),
        frame(0x82, b"\xff"),
        frame(0x81, b"{}"),
        frame(0x88, &[&4999_u16.to_be_bytes()[..], b"bye"].concat()),
        frame(0x81, b"never heard"),
    ];
    // Cut in the middle of frames.
    for piece in said.concat().chunks(7) {
        client.write_all(piece).await.unwrap();
    }
    assert_eq!(next_frame(&mut client).await, Some((0x8a, b"still there?".to_vec())));
    assert_eq!(next_text(&mut client).await, r#"{"type":"pong","timestamp":12.50}"#);
    assert!(next_text(&mut client).await.contains(r#""code":"binary_not_supported""#));
    assert!(next_text(&mut client).await.contains(r#""code":"missing_type""#));
    assert_eq!(next_close(&mut client).await, (4999, String::new()));
}

#[tokio::test]
async fn silence_is_counted_in_seconds_and_broken_by_any_byte() {
    let Pair { mut client, mut outlet, mut heard, .. } = pair().await;
    assert_eq!(outlet.silent().as_secs(), 0);
    let silent = async {
        while outlet.silent().as_secs() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, silent).await.unwrap();
    client.write_all(&frame(0x89, b"x")).await.unwrap();
    assert!(matches!(next_heard(&mut heard).await, Heard::ProtocolPing(_)));
    assert_eq!(outlet.silent().as_secs(), 0);
    outlet.push(Outgoing::ProtocolPong(b"x"));
    outlet.flush().unwrap();
    assert_eq!(next_frame(&mut client).await, Some((0x8a, b"x".to_vec())));
}
