//! `bellpull observe`, in a pseudo-terminal of 80 × 24.

use std::process::{Command, Stdio};

use serde_json::json;

use super::Caller;
use crate::support::postgres::{Database, server};
use crate::support::process::{Process, command, folder, run};
use crate::support::skip::skipped;
use crate::support::terminal::Terminal;

fn observe(database: &std::path::Path) -> Command {
    let mut command = command(database);
    command.arg("observe");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_watches_finds_and_restarts() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let _socket = ada.socket("").await;
    let user = format!("user/{}", ada.id);
    let mut terminal = Terminal::start(observe(&database), 80, 24);

    // The tree, the signals, and the keys, each in its place.
    let text = terminal.shows(&["1 node, ", "● live", "scheduler", &user, "events", "spawned"]);
    assert_eq!(
        text.lines().last().map(|line| line.trim_end().ends_with("q end")),
        Some(true),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(terminal.is_full_screen());
    terminal.shows(&["sessions 1", "memory ", "MiB"]);

    // What is below an actor can be hidden.
    terminal.press("h");
    terminal.until("nothing below the hub", |text| !text.contains("tickets/0"));
    terminal.press("\u{1b}[C"); // right
    terminal.shows(&["tickets/0"]);

    // Found by the name that the actor shows, with its page and its sessions.
    terminal.press("/ADA\r");
    let text = terminal.shows(&["with \"ADA\"", &user]);
    assert!(!text.contains("tickets/0"), "{text}");
    terminal.press("\r");
    terminal.shows(&[&format!("{user} on "), "mailbox", "handled", "username", "\"ada\""]);

    // A restart is asked for, then seen in the numbers and the events.
    terminal.press("r");
    terminal.shows(&[&format!("Restart {user} on "), "y/n"]);
    terminal.press("n");
    terminal.until("the question is gone", |text| !text.contains("y/n"));
    terminal.press("ry");
    terminal.shows(&[&format!("{user} starts again")]);
    terminal.press("\u{1b}");
    // The actor has stopped with its sessions; it comes back with its user.
    terminal.shows(&["no actor has \"ADA\"", "stopped   user/"]);
    terminal.press("\u{1b}");
    terminal.shows(&["tickets/0"]);
    terminal.press("s");
    terminal.shows(&["sorted by mailbox"]);
    terminal.press("e");
    terminal.shows(&["events of all actors", "restarted by operator service"]);
    terminal.press("?");
    terminal.shows(&["the row above", "restart the actor", "drain a node", "end"]);
    terminal.press("?");
    terminal.shows(&["sorted by mailbox", "state"]);

    // The hub dies and comes back at another address; it is found in the database.
    hub.kill();
    terminal.shows(&["cannot be reached", " s ago"]);
    let _hub = Process::serve(&database, &[]);
    terminal.press("q");
    assert!(terminal.exited().success());
    assert!(!terminal.is_full_screen(), "the shell's screen is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_restart_and_a_lost_terminal_are_told() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let mut terminal = Terminal::start(observe(&database), 100, 30);
    terminal.shows(&["● live", "scheduler"]);
    // Sixty at once, then one a second.
    let root = Caller::join(&database, hub.address, "root", "super_admin");
    for _ in 0..80 {
        root.restart("users/0").await;
    }
    terminal.press("r");
    terminal.shows(&["hub on ", "cannot do this now: restart"]);
    terminal.press("jry");
    terminal.shows(&["users/0 not restarted: Request was throttled."]);
    terminal.terminate();
    assert!(terminal.exited().success());
    assert!(!terminal.is_full_screen(), "SIGTERM leaves the terminal as it was");
}

/// Opens the page of the actor that a search finds, from the list of all.
fn open(terminal: &mut Terminal, path: &str) {
    terminal.press(&format!("/{path}\r"));
    terminal.shows(&[&format!("with \"{path}\"")]);
    terminal.press("\r");
    terminal.shows(&[&format!("{path} on "), "Esc back"]);
}

/// Goes back to the list of all.
fn leave(terminal: &mut Terminal) {
    terminal.press("\u{1b}");
    terminal.shows(&["with \"", "Enter actor"]);
    terminal.press("\u{1b}");
    terminal.until("no search", |text| !text.contains("with \""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_closes_one_session_of_a_user() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let mut first = ada.socket("").await;
    let mut second = ada.socket("").await;
    let user = format!("user/{}", ada.id);
    let mut terminal = Terminal::start(observe(&database), 80, 24);
    terminal.shows(&["● live", &user]);
    open(&mut terminal, &user);
    terminal.shows(&["sessions (2)", "address", " incident ", " live ", "127.0.0.1:"]);
    terminal.shows(&["r restart", "c close a session", "w watch messages"]);

    // It is chosen, then confirmed; both can be left.
    terminal.press("c");
    terminal.shows(&[&format!("close a session of {user}"), "Enter continue"]);
    terminal.press("\u{1b}");
    terminal.shows(&["sessions (2)", "Esc back  /"]);
    terminal.press("cj\r");
    terminal.shows(&[&format!("Close session 2 of {user} on "), "from 127.0.0.1:", "y/n"]);
    terminal.press("n");
    terminal.until("the question is gone", |text| !text.contains("y/n"));
    second.expect_nothing().await;
    terminal.press("cj\ry");
    assert_eq!(second.drained().await.1, 1012);
    terminal.shows(&[&format!("session 2 of {user} is closed"), "sessions (1)"]);
    first.expect_nothing().await;

    // Of one there is nothing to choose. It ends before it is confirmed: the hub says so.
    terminal.press("c");
    terminal.shows(&[&format!("Close session 1 of {user} on ")]);
    drop(first);
    terminal.until("no session", |text| !text.contains("sessions (1)"));
    terminal.press("y");
    terminal.shows(&[&format!("session 1 of {user} not closed: Not found.")]);

    // A log-out ends all that are open, whatever they were opened with.
    let mut third = ada.socket("").await;
    terminal.shows(&["sessions (1)"]);
    terminal.press("L");
    terminal.shows(&[&format!("Log out {user}?"), "y/n"]);
    terminal.press("y");
    assert_eq!(third.drained().await.1, 4401);
    terminal.shows(&[&format!("all logins of {user} have ended")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_opens_a_circuit_watches_messages_and_drains_the_node() {
    let (_folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_NODE", "web-1")]);
    let ada = Caller::join(&database, hub.address, "ada", "admin");
    let mut terminal = Terminal::start(observe(&database), 80, 24);
    terminal.shows(&["● live", "channels/webhook"]);
    open(&mut terminal, "channels/webhook");
    let text = terminal.shows(&["circuit ", "\"closed\"", "o open the circuit"]);
    assert!(!text.contains("close the circuit"), "{text}");

    // For a time, then without.
    terminal.press("o");
    terminal.shows(&["until it is closed", "for 10 minutes", "for a week"]);
    terminal.press("j\r");
    terminal.shows(&["Open the circuit of channels/webhook on web-1 for 10 minutes?", "y/n"]);
    terminal.press("y");
    terminal.shows(&["the circuit of WEBHOOK is open until 2", "\"open\""]);
    terminal.press("Cy");
    terminal.shows(&["the circuit of WEBHOOK is closed", "\"closed\""]);
    terminal.press("o\ry");
    terminal.shows(&["the circuit of WEBHOOK is open until it is closed"]);
    terminal.shows(&["\"opened by operator service\""]);
    terminal.press("Cy");
    terminal.shows(&["the circuit of WEBHOOK is closed", "\"closed\""]);
    leave(&mut terminal);

    let ticket = ada.raise("One").await;
    open(&mut terminal, &format!("ticket/{ticket}"));
    terminal.press("wy");
    terminal.shows(&["are watched for 5 minutes", "messages, watched until "]);
    let (status, answer) = ada.post(&format!("/api/tickets/{ticket}/open/"), json!({})).await;
    assert_eq!(status, 200, "{answer}");
    terminal.shows(&["messages, watched until ", "s  Ask"]);
    terminal.press("w");
    terminal.shows(&["Stop watching the messages of "]);
    terminal.press("y");
    terminal.shows(&["no longer watched"]);
    terminal.until("no messages", |text| !text.contains("watched until "));
    leave(&mut terminal);

    terminal.press("gd");
    terminal.shows(&["Stop web-1?", "y/n"]);
    terminal.press("y");
    terminal.shows(&["web-1 is stopping"]);
    assert_eq!(hub.exited().code(), Some(0));
    terminal.shows(&["cannot be reached"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_reaches_the_node_of_its_actor() {
    if server().is_none() {
        return skipped("TEST_POSTGRES names no PostgreSQL server");
    }
    let shared = Database::create().await;
    let (_folder, file) = folder();
    let url = shared.url();
    let settings = |name| [("BELLPULL_DATABASE_URL", url.as_str()), ("BELLPULL_NODE", name)];
    let [a, b] = ["a", "b"].map(|name| Process::serve(&file, &settings(name)));
    let ada = Caller::join_with((&file, &settings("")[..1]), b.address, "ada", "admin");
    let mut socket = ada.socket("").await;
    let user = format!("user/{}", ada.id);
    let mut command = observe(&file);
    command.env("BELLPULL_DATABASE_URL", &url);
    command.args(["--url", &format!("http://{}", a.address)]);
    let mut terminal = Terminal::start(command, 80, 24);
    terminal.shows(&["2 nodes, ", "cluster", "hub a"]);
    open(&mut terminal, &user);
    terminal.shows(&[&format!("{user} on b"), "sessions (1)"]);
    terminal.press("c");
    terminal.shows(&[&format!("Close session 1 of {user} on b, from ")]);
    terminal.press("y");
    assert_eq!(socket.drained().await.1, 1012);
    terminal.shows(&[&format!("session 1 of {user} is closed")]);
}

#[test]
fn without_a_terminal_or_a_hub_it_says_so() {
    let (_folder, database) = folder();
    let refused = |arguments: &[&str], code: i32, wanted: &str| {
        let output = run(&database, arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(wanted), "{stderr}");
    };
    refused(&["observe", "--url", "ftp://x", "--token", "x"], 2, "--url");
    refused(&["observe", "--url", "http://127.0.0.1:1", "--token", "x"], 1, "cannot be reached");
    let hub = Process::serve(&database, &[]);
    let url = format!("http://{}", hub.address);
    refused(&["observe", "--url", &url, "--token", "x"], 1, "does not take the token");
    let output = observe(&database).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("needs a terminal; `bellpull tree`"), "{stderr}");
}
