//! The whole system, from outside: real server, real sockets, real database files.

mod rest;
mod support;
