//! `X-Forwarded-For` and `Forwarded`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::proxies(bytes));
