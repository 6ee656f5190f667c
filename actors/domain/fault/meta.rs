//! WhatsApp's Cloud API: its error codes (Meta's list of error codes of the Cloud API). An error's
//! code counts before the HTTP status.

use super::Fault;

/// Who is at fault for an answer with that status and error code (and its subcode).
#[must_use]
pub fn fault(status: u16, code: Option<i64>, subcode: Option<i64>) -> Fault {
    let Some(code) = code else { return Fault::of_status(status) };
    match (code, subcode) {
        // Rate limits: of the application, the account, the number, and the pair of numbers.
        (4 | 80_007 | 130_429 | 131_056, _) => Fault::Busy,
        // The API or the service is away.
        (1 | 2 | 131_000 | 131_016 | 133_004, _) => Fault::Provider,
        // The token, its rights, and the number that messages come from.
        (0 | 3 | 10 | 33 | 190 | 200..=299, _) | (100, Some(33)) => Fault::Hub,
        // The account: blocked, locked, unpaid, unregistered, nameless, under maintenance, limited.
        (368 | 131_005 | 131_031 | 131_037 | 131_042 | 131_045 | 131_048 | 131_057, _) => {
            Fault::Hub
        }
        // The template: unknown, against the policy, paused, disabled.
        (132_001 | 132_007 | 132_015 | 132_016, _) => Fault::Hub,
        // The number's registration.
        (133_000..=133_016, _) => Fault::Hub,
        _ => Fault::of_status(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fault::{Busy, Hub, Message, Provider};

    #[test]
    fn each_error_is_its_ones_fault() {
        for (status, code, subcode, wanted) in [
            (401, Some(190), None, Hub),
            (401, None, None, Hub),
            (400, Some(100), Some(33), Hub),
            (400, Some(100), None, Message),
            (403, Some(10), None, Hub),
            (403, Some(131_031), None, Hub),
            (400, Some(131_042), None, Hub),
            (404, Some(132_001), None, Hub),
            (400, Some(133_010), None, Hub),
            (503, Some(133_004), None, Provider),
            (500, Some(131_000), None, Provider),
            (500, Some(99_999), None, Provider),
            (429, Some(99_999), None, Busy),
            (401, Some(99_999), None, Hub),
            (400, Some(99_999), None, Message),
            (400, Some(33), None, Hub),
            (429, Some(130_429), None, Busy),
            (400, Some(131_056), None, Busy),
            (400, Some(131_026), None, Message),
            (400, Some(131_047), None, Message),
            (400, None, None, Message),
            (503, None, None, Provider),
        ] {
            assert_eq!(fault(status, code, subcode), wanted, "{status} {code:?} {subcode:?}");
        }
    }
}
