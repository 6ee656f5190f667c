//! The forms of addresses, with the errors for users.

/// The longest e-mail address (RFC 5321, 4.5.3.1.3), in bytes.
pub const EMAIL_BYTES_MAX: usize = 254;

/// Validates the form of an e-mail address; only an e-mail can show whether it exists.
///
/// # Errors
/// What is wrong with it, as a text for users.
pub fn check_email(email: &str) -> Result<(), &'static str> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;:\"()[]\\".contains(c);
    let is_good = email.len() <= EMAIL_BYTES_MAX
        && email.chars().all(plain)
        && email.split_once('@').is_some_and(|(local, domain)| {
            let labels = domain.split('.').all(|label| !label.is_empty());
            !local.is_empty()
                && !domain.contains('@')
                && labels
                && (domain.contains('.') || domain == "localhost")
        });
    if is_good { Ok(()) } else { Err("Enter a valid email address.") }
}

/// Validates the form of a telephone number (E.164, the plus sign may be missing).
pub(super) fn check_phone(number: &str) -> Result<(), &'static str> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let is_good = (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_good { Ok(()) } else { Err("Enter a phone number in the form +4915112345678.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers() {
        for good in ["+4915112345678", "4915112345678"] {
            assert!(check_phone(good).is_ok(), "{good}");
        }
        for bad in ["0151123", "+49 151", "123456", "+1234567890123456", "+", "abcdefgh"] {
            assert!(check_phone(bad).is_err(), "{bad}");
        }
    }
}
