//! The demo's output: one line per frame, with colour on a terminal, plain text in a pipe.

use std::net::SocketAddr;
use std::time::Duration;

use anstream::println;
use owo_colors::OwoColorize;
use serde_json::Value;

use super::client::{Answer, Person};

pub(super) fn port_taken(address: SocketAddr) {
    println!("{}", format_args!("{address} is taken: taking any other port.").dimmed());
}

pub(super) fn opening(url: &str) {
    println!();
    println!(
        "{}  a ticket's life cycle, with live notifications for everyone involved",
        "Bellpull".bold()
    );
    println!("{}", format_args!("A hub of its own on {url}, on a temporary SQLite file.").dimmed());
    println!();
}

pub(super) fn connected(who: &Person, first: &Value) {
    let message = first["message"].as_str().unwrap_or_default();
    println!("  {} {} {}", "⇄".cyan(), name(who).cyan(), message.dimmed());
}

pub(super) fn act(who: &Person, words: &str, node: Option<&str>, answer: &Answer) {
    let status = answer.body["status_display"].as_str().unwrap_or_default();
    let took = ms(answer.took);
    println!();
    let by = node.map(|node| format!(" from node {node}")).unwrap_or_default();
    println!(
        "{} {} {}",
        "●".yellow(),
        format_args!("{} {words}", who.full_name).bold(),
        format_args!("→ {status}  (HTTP {}{by}, {took})", answer.status).dimmed(),
    );
}

pub(super) fn heard(who: &Person, frame: &Value, why: &str, after: Duration) {
    println!(
        "    {} {} {:<16} {}  {}",
        "→".green(),
        name(who).green(),
        text(frame, "notification_type").blue(),
        text(frame, "message"),
        format_args!("seq {} · {why} · {} after the request", frame["seq"], ms(after)).dimmed(),
    );
}

pub(super) fn away(who: &Person) {
    println!();
    println!("{} {}", "○".red(), format_args!("{} closes the laptop", who.full_name).bold());
}

pub(super) fn back(who: &Person, first: &Value) {
    println!();
    println!(
        "{} {} {}",
        "○".green(),
        format_args!("{} is back and missed nothing", who.full_name).bold(),
        text(first, "message").dimmed(),
    );
}

pub(super) fn replayed(who: &Person, frame: &Value) {
    println!(
        "    {} {} {:<16} {}  {}",
        "↺".magenta(),
        name(who).green(),
        text(frame, "notification_type").blue(),
        text(frame, "message"),
        format_args!("seq {} · happened while away", frame["seq"]).dimmed(),
    );
}

pub(super) fn complete() {
    println!();
    println!("{} every frame that was owed arrived, once and in order", "✓".green().bold());
}

pub(super) fn done() {
    println!();
    println!("{}", "cargo run --release -- demo   keeps serving, to try it yourself".dimmed());
}

pub(super) fn serving(url: &str, password: &str, cast: &[(&str, &str, &str)]) {
    to_try(url, password, cast);
    println!("{}", "Ctrl-C stops it; the file goes with it.".dimmed());
}

/// Where the hub is, and how it is asked.
pub(super) fn to_try(url: &str, password: &str, cast: &[(&str, &str, &str)]) {
    println!();
    println!("{}  {url}/console/", "Console".bold());
    println!("{}", format_args!("The password of all users is {password}").bold());
    for (username, full_name, role) in cast {
        println!("  {:<12} {:<16} {}", username.cyan(), full_name, role.dimmed());
    }
    println!();
    println!("{}", "Try:".bold());
    println!("  curl -s {url}/api/auth/login/ -H 'Content-Type: application/json' \\");
    println!("       -d '{{\"username\":\"john_client\",\"password\":\"{password}\"}}'");
    println!("  a WebSocket on {}/ws/notifications/?token=…", url.replacen("http", "ws", 1));
    println!();
}

/// A user's name in its column, with the node of the socket if there are several.
fn name(who: &Person) -> String {
    let node = who.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    format!("{:<12}{node}", who.username)
}

fn text<'a>(frame: &'a Value, key: &str) -> &'a str {
    frame[key].as_str().unwrap_or_default()
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
