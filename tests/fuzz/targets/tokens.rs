//! Access tokens.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::tokens(bytes));
