//! Decoding frames: tables, and the property that cuts do not matter.

use proptest::prelude::*;

use super::*;

const MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    Close(u16),
    Refused(Violation),
}

/// Feeds the pieces one after the other, until the stream is over.
fn feed(decoder: &mut Decoder, pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<Seen> {
    let mut seen = Vec::new();
    for mut piece in pieces {
        let fed = decoder.feed(MAX, &mut piece, |event| {
            seen.push(match event {
                Event::Text(text) => Seen::Text(text.to_owned()),
                Event::Binary => Seen::Binary,
                Event::Ping(payload) => Seen::Ping(payload.to_vec()),
                Event::Pong => Seen::Pong,
                Event::Close(code) => Seen::Close(code),
            });
            match seen.last() {
                Some(Seen::Close(_)) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        if let Err(violation) = fed {
            seen.push(Seen::Refused(violation));
        }
        if matches!(seen.last(), Some(Seen::Close(_) | Seen::Refused(_))) {
            break;
        }
    }
    seen
}

fn whole(bytes: &[u8]) -> Vec<Seen> {
    feed(&mut Decoder::default(), [bytes.to_vec()])
}

fn byte_by_byte(bytes: &[u8]) -> Vec<Seen> {
    feed(&mut Decoder::default(), bytes.iter().map(|byte| vec![*byte]))
}

/// A client's frame: the first byte as given, the payload masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(0x80 | u8::try_from(short).unwrap()),
        long @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
        huge => {
            out.push(0x80 | 127);
            out.extend(u64::try_from(huge).unwrap().to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn text(payload: &str) -> Seen {
    Seen::Text(payload.to_owned())
}

fn protocol(what: &'static str) -> Seen {
    Seen::Refused(Violation::Protocol(what))
}

/// Checks that the stream yields these events, in one piece and byte by byte.
#[track_caller]
fn check(frames: &[Vec<u8>], wanted: &[Seen]) {
    let bytes = frames.concat();
    assert_eq!(whole(&bytes), wanted, "in one piece");
    assert_eq!(byte_by_byte(&bytes), wanted, "byte by byte");
}

#[test]
fn the_frame_that_the_rfc_shows() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    check(&[hello.to_vec()], &[text("Hello")]);
}

#[test]
fn whole_messages_and_control_frames() {
    let long = "x".repeat(MAX);
    check(
        &[
            frame(0x81, b""),
            frame(0x81, "grüß".as_bytes()),
            frame(0x82, b"\xff\xfe"),
            frame(0x89, b"are you there"),
            frame(0x8a, b""),
            frame(0x81, &[b'y'; 126]),
            frame(0x81, long.as_bytes()),
            frame(0x88, b"\x03\xe8bye"),
            frame(0x81, b"never seen"),
        ],
        &[
            text(""),
            text("grüß"),
            Seen::Binary,
            Seen::Ping(b"are you there".to_vec()),
            Seen::Pong,
            text(&"y".repeat(126)),
            text(&long),
            Seen::Close(1000),
        ],
    );
}

#[test]
fn fragments_with_control_frames_between_them() {
    check(
        &[
            frame(0x01, b"gr\xc3"),
            frame(0x89, b"1"),
            frame(0x00, b""),
            frame(0x8a, b"2"),
            frame(0x00, b"\xbc\xc3"),
            frame(0x80, b"\x9f"),
            frame(0x02, b"\xff"),
            frame(0x80, b"\xff"),
            frame(0x81, b"after"),
        ],
        &[Seen::Ping(b"1".to_vec()), Seen::Pong, text("grüß"), Seen::Binary, text("after")],
    );
}

#[test]
fn what_the_protocol_does_not_allow() {
    let unmasked = vec![0x81, 0x02, b'h', b'i'];
    let masked = "a client's frame must be masked";
    let length = "a frame's length is written wrongly";
    let head = |second: u8, length: &[u8]| [&[0x81, second][..], length, &[0; 4]].concat();
    let table: &[(Vec<u8>, &str)] = &[
        (unmasked, masked),
        (frame(0xc1, b"x"), "reserved bits are set"),
        (frame(0xa1, b"x"), "reserved bits are set"),
        (frame(0x91, b"x"), "reserved bits are set"),
        (frame(0x83, b"x"), "an unknown kind of frame"),
        (frame(0x8b, b"x"), "an unknown kind of frame"),
        (frame(0x09, b"x"), "a control frame is in pieces"),
        (frame(0x08, b""), "a control frame is in pieces"),
        (frame(0x89, &[0; 126]), "a control frame is too long"),
        (frame(0x80, b"x"), "nothing to be continued"),
        (frame(0x00, b"x"), "nothing to be continued"),
        ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), "a message begins inside another"),
        ([frame(0x02, b"x"), frame(0x01, b"y")].concat(), "a message begins inside another"),
        (head(0xfe, &125_u16.to_be_bytes()), length),
        (head(0xff, &65_535_u64.to_be_bytes()), length),
        (head(0xff, &(1_u64 << 63).to_be_bytes()), length),
        (frame(0x88, b"\x03"), "a close code has two bytes"),
        (frame(0x88, b"\x03\xe8\xff"), "a close reason that is not UTF-8"),
    ];
    for (bytes, wanted) in table {
        check(std::slice::from_ref(bytes), &[protocol(wanted)]);
        let after = [frame(0x81, b"before"), bytes.clone()];
        check(&after, &[text("before"), protocol(wanted)]);
    }
}

#[test]
fn close_codes() {
    check(&[frame(0x88, b"")], &[Seen::Close(1000)]);
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1009, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        check(&[frame(0x88, &code.to_be_bytes())], &[Seen::Close(code)]);
    }
    for code in [0_u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535] {
        let wanted = protocol("a close code that must not be sent");
        check(&[frame(0x88, &code.to_be_bytes())], &[wanted]);
    }
}

#[test]
fn text_that_is_not_utf8() {
    let wanted = [Seen::Refused(Violation::NotUtf8)];
    for bad in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"] {
        check(&[frame(0x81, bad)], &wanted);
        check(&[frame(0x01, b"ok"), frame(0x80, bad)], &wanted);
    }
    check(&[frame(0x01, b"\xc3"), frame(0x80, b"x")], &wanted);
    // Refused at the invalid byte, not at the end of the message.
    check(&[frame(0x01, b"\xff")], &wanted);
}

#[test]
fn a_message_too_long_is_refused_at_its_head() {
    let wanted = [Seen::Refused(Violation::TooBig)];
    let long = vec![b'x'; MAX + 1];
    for first in [0x81, 0x82, 0x01] {
        check(&[frame(first, &long)[..4].to_vec()], &wanted);
    }
    check(&[frame(0x01, &long[..MAX]), frame(0x80, b"")], &[text(&"x".repeat(MAX))]);
    check(&[frame(0x01, &long[..MAX]), frame(0x80, b"x")[..2].to_vec()], &wanted);
    let huge = [&[0x81, 0xff][..], &(u64::MAX >> 1).to_be_bytes()].concat();
    check(&[huge], &wanted);
}

#[test]
fn empty_fragments_do_not_go_on_for_ever() {
    let mut frames = vec![frame(0x01, b"")];
    frames.resize(usize::from(FRAGMENTS_MAX) - 1, frame(0x00, b""));
    let mut ended = frames.clone();
    ended.push(frame(0x80, b"x"));
    check(&ended, &[text("x")]);
    frames.push(frame(0x00, b""));
    check(&frames, &[Seen::Refused(Violation::TooManyFragments)]);
}

#[test]
fn memory_is_held_only_while_something_is_under_way() {
    let mut decoder = Decoder::default();
    let fragments = [frame(0x01, b"one "), frame(0x89, b"?"), frame(0x80, b"two")].concat();
    let (last, before) = fragments.split_last().unwrap();
    for byte in before {
        feed(&mut decoder, [vec![*byte]]);
        assert!(!decoder.is_idle());
    }
    assert_eq!(feed(&mut decoder, [vec![*last]]), [text("one two")]);
    assert!(decoder.is_idle());
    assert!(size_of::<Decoder>() <= 16);
}

#[test]
fn masks_begin_anywhere() {
    let plain: Vec<u8> = (0..100).collect();
    for length in [0, 1, 3, 4, 7, 8, 9, 31, 100] {
        for offset in 0..9 {
            let mut bytes = plain[..length].to_vec();
            unmask(&mut bytes, [1, 2, 3, 4], offset);
            for (index, byte) in bytes.iter().enumerate() {
                assert_eq!(byte ^ plain[index], [1, 2, 3, 4][(index + offset) % 4]);
            }
        }
    }
}

/// A frame that is usually well-formed.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => "\\PC{0,40}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..150),
        1 => (100_usize..1_100).prop_map(|length| vec![b'x'; length]),
    ];
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x01, 0x00, 0x80, 0x89, 0x8a]),
        1 => prop::sample::select(vec![0x82_u8, 0x02, 0x88]),
        1 => any::<u8>(),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_it_says_the_same(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frames.concat();
        bytes.truncate(keep.index(bytes.len() + 1).max(bytes.len() / 2));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec());
        let wanted = whole(&bytes);
        prop_assert_eq!(feed(&mut Decoder::default(), pieces), wanted.clone());
        prop_assert_eq!(byte_by_byte(&bytes), wanted);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(whole(&bytes), byte_by_byte(&bytes));
    }

    #[test]
    fn a_text_comes_out_as_it_went_in(words in prop::collection::vec("\\PC{0,60}", 1..10)) {
        let frames: Vec<_> = words.iter().map(|word| frame(0x81, word.as_bytes())).collect();
        let wanted: Vec<_> = words.iter().map(|word| text(word)).collect();
        prop_assert_eq!(whole(&frames.concat()), wanted);
    }
}
