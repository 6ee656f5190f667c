//! The body of a send.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::sends(bytes));
