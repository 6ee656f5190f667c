//! Bodies of requests as JSON.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::json(bytes));
