//! The beginning of a connection that may be a handshake.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::handshake(bytes));
