//! Queries of lists, and positions.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::queries(bytes));
