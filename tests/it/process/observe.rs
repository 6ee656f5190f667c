//! `bellpull observe`, in a pseudo-terminal of 80 × 24.

use std::process::{Command, Stdio};

use super::Caller;
use crate::support::process::{Process, command, folder, run};
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
    terminal.shows(&["the row above", "restart the actor, after a question"]);
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
    terminal.press("ry");
    terminal.shows(&["hub not restarted: "]);
    terminal.terminate();
    assert!(terminal.exited().success());
    assert!(!terminal.is_full_screen(), "SIGTERM leaves the terminal as it was");
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
