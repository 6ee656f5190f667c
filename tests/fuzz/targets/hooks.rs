//! Reports of providers, and links in mails.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellpull::fuzzing::hooks(bytes));
