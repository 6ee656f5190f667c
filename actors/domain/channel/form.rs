//! The forms of addresses, with the errors for users.

use crate::text::is_invisible;

/// The longest e-mail address (RFC 5321, 4.5.3.1.3), in bytes.
pub const EMAIL_BYTES_MAX: usize = 254;

/// The longest part before the `@` (RFC 5321, 4.5.3.1.1), in bytes.
const LOCAL_BYTES_MAX: usize = 64;

/// The longest part of a domain (RFC 1035, 2.3.4), in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Validates the form of an e-mail address; only an e-mail can show whether it exists. What is
/// taken here can be written to: a mail server's library refuses the rest.
///
/// # Errors
/// What is wrong with it, as a text for users.
pub fn check_email(email: &str) -> Result<(), &'static str> {
    // What cannot be seen is left out on the way: the mail would go to another domain.
    let plain = |c: char| {
        !c.is_whitespace() && !c.is_control() && !is_invisible(c) && !"<>,;:\"()[]\\".contains(c)
    };
    // No top-level domain is a number.
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let is_good = email.len() <= EMAIL_BYTES_MAX
        && email.chars().all(plain)
        && email.split_once('@').is_some_and(|(local, domain)| {
            let is_local = local.len() <= LOCAL_BYTES_MAX
                && local.split('.').all(|atom| !atom.is_empty())
                && !domain.contains('@');
            is_local
                && domain.split('.').all(is_label)
                && !domain.rsplit('.').next().is_some_and(is_number)
                && (domain.contains('.') || domain == "localhost")
        });
    if is_good { Ok(()) } else { Err("Enter a valid email address.") }
}

/// Whether it may be a part of a domain, of letters of any alphabet.
fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.chars().all(|c| c.is_alphanumeric() || c == '-' || !c.is_ascii())
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Validates the form of a telephone number (E.164). Without the plus sign it may be a national
/// one: a message to it would reach a stranger in another country.
pub(super) fn check_phone(number: &str) -> Result<(), &'static str> {
    let digits = number.strip_prefix('+').unwrap_or_default();
    let is_good = (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_good { Ok(()) } else { Err("Enter a phone number in the form +4915112345678.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_can_be_written_to_are_taken() {
        let longest = format!("{}@example.com", "a".repeat(LOCAL_BYTES_MAX));
        for good in
            ["a@b.example", "a.b+c@x-y.example", "ü@bücher.example", "a@localhost", &longest]
        {
            assert!(check_email(good).is_ok(), "{good}");
        }
        let too_long = format!("a{longest}");
        let long_label = format!("a@{}.example", "b".repeat(LABEL_BYTES_MAX + 1));
        for bad in [
            "a..b@docomo.example",
            ".a@b.example",
            "a.@b.example",
            "a@-bad.example",
            "a@bad-.example",
            "a@b_c.example",
            "a@b",
            "a@b@c.example",
            "@b.example",
            "a@b\u{200b}.example",
            "a@b\u{ad}.example",
            "a\u{2060}@b.example",
            "a@123.456",
            "a@192.0.2.1",
            &too_long,
            &long_label,
        ] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn telephone_numbers() {
        assert!(check_phone("+4915112345678").is_ok());
        for bad in [
            "4915112345678",
            "5551234567",
            "004915112345678",
            "0151123",
            "+49 151",
            "123456",
            "+1234567890123456",
            "+",
            "abcdefgh",
        ] {
            assert!(check_phone(bad).is_err(), "{bad}");
        }
    }
}
