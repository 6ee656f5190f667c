//! What holds for every dialect.

use bellpull_actors::domain::inbox::Letter;
use proptest::prelude::*;

use super::*;

#[test]
fn every_dialect_survives_its_name_and_has_room_in_a_letter() {
    for (slot, dialect) in Dialect::ALL.into_iter().enumerate() {
        assert_eq!(Dialect::from_name(dialect.as_str()), Some(dialect));
        assert_eq!(dialect.slot(), slot);
        assert!(dialect.slot() < Letter::DIALECTS);
    }
    assert_eq!(Dialect::from_name("Incident"), None);
    assert_eq!(Dialect::from_name(""), None);
}

proptest! {
    #[test]
    fn no_text_makes_a_decoder_panic(text in "\\PC*") {
        for dialect in Dialect::ALL {
            for endpoint in Endpoint::ALL {
                let _ = decode(dialect, endpoint, &text);
            }
        }
    }

    #[test]
    fn no_text_like_json_makes_a_decoder_panic(text in r#"[\[\]{}":,\\u0-9a-f \ntypeping]{0,80}"#) {
        for dialect in Dialect::ALL {
            for endpoint in Endpoint::ALL {
                let _ = decode(dialect, endpoint, &text);
            }
        }
    }
}
