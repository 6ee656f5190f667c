//! What the operating system provides: the limit on open files ([`open_files`]), files that change
//! while the hub runs ([`followed_file`]), readiness for systemd ([`service`]), and threads of low
//! priority ([`thread_priority`]).

pub mod followed_file;
pub mod open_files;
pub mod service;
pub mod thread_priority;
