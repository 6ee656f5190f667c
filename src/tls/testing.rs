//! A certificate for tests.
#![allow(clippy::unwrap_used, reason = "of tests alone")]

use std::fs;
use std::path::Path;

use bellpull_config::TlsConfig;

/// What the certificate names.
pub const NAME: &str = "hub.example";

/// Writes a certificate for [`NAME`] and its key into a folder.
pub fn write_files(folder: &Path) -> TlsConfig {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let files = TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.cert, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}
