//! The whole system, from outside: real server, real sockets, real database files.

mod browser;
mod failure;
mod store;
mod support;
mod ws;
