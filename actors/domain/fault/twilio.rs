//! Twilio's Messages resource: its error codes (Twilio's error and warning dictionary). An error's
//! code counts before the HTTP status.

use super::Fault;

/// Who is at fault for an answer with that status and error code.
#[must_use]
pub fn fault(status: u16, code: Option<i64>) -> Fault {
    match code {
        // Too many requests.
        Some(20_429) => Fault::Busy,
        // The provider's own trouble.
        Some(20_500 | 20_503 | 20_504) => Fault::Provider,
        // Credentials, and the account: inactive, unknown, suspended.
        Some(10_001 | 20_003 | 20_005 | 20_006 | 20_008 | 20_404 | 30_002) => Fault::Hub,
        // The sender: missing, invalid, no number of the account's, not able to send; or its
        // service.
        Some(21_212 | 21_603 | 21_606 | 21_659..=21_661 | 21_701..=21_705) => Fault::Hub,
        // Its queue, its daily limit, its registration.
        Some(21_611 | 30_001 | 30_022..=30_024 | 30_032..=30_034 | 63_038) => Fault::Hub,
        Some(_) if status < 500 && status != 429 => match status {
            401 | 407 => Fault::Hub,
            _ => Fault::Message,
        },
        Some(_) | None => Fault::of_status(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fault::{Busy, Hub, Message, Provider};

    #[test]
    fn each_error_is_its_ones_fault() {
        for (status, code, wanted) in [
            (401, Some(20_003), Hub),
            (401, None, Hub),
            (404, Some(20_404), Hub),
            (404, None, Hub),
            (400, Some(21_606), Hub),
            (400, Some(21_611), Hub),
            (400, Some(30_002), Hub),
            (400, Some(21_211), Message),
            (400, Some(21_610), Message),
            (400, Some(21_612), Message),
            (403, Some(21_408), Message),
            (400, Some(30_007), Message),
            (400, None, Message),
            (429, Some(20_429), Busy),
            (429, None, Busy),
            (429, Some(63_038), Hub),
            (500, Some(20_500), Provider),
            (503, None, Provider),
        ] {
            assert_eq!(fault(status, code), wanted, "{status} {code:?}");
        }
    }
}
