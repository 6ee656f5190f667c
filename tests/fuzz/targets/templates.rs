//! Templates that admins write.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::templates(bytes));
