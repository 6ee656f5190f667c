//! The lines that only a demo on several nodes prints.

use anstream::println;
use owo_colors::OwoColorize;

use super::super::client::Person;
use super::super::print::to_try;
use super::cluster::Cluster;

/// Before the seconds in which nothing else is printed.
pub(super) fn starting(count: usize, has_own_services: bool) {
    let services = if has_own_services { "PostgreSQL, Redis and " } else { "" };
    println!();
    println!(
        "{}  a ticket's life cycle on {count} nodes, one of which is killed in the middle",
        "Bellpull".bold()
    );
    println!("{}", format_args!("Starting {services}{count} nodes …").dimmed());
}

pub(super) fn started(cluster: &Cluster) {
    for node in cluster.nodes.iter() {
        let pid = node.pid().unwrap_or_default();
        let place = format!("{}  process {pid}", node.url());
        println!("  {} node {}   {}", "▪".cyan(), node.name().cyan(), place.dimmed());
    }
    println!("  {} proxy    {}", "▪".cyan(), cluster.url().dimmed());
    println!();
}

pub(super) fn killed(name: &str) {
    println!();
    println!("{} {}", "✗".red(), format_args!("node {name} is killed (SIGKILL)").bold());
}

pub(super) fn cut_off(who: &Person) {
    let known = who.cursor.unwrap_or_default();
    println!(
        "    {} {:<12} {}",
        "○".red(),
        who.username.red(),
        format_args!("loses the connection; knows all up to seq {known}").dimmed()
    );
}

pub(super) fn back(who: &Person) {
    let (node, known) = (who.node.as_deref().unwrap_or_default(), who.cursor.unwrap_or_default());
    println!();
    println!(
        "{} {} {}",
        "○".green(),
        format_args!("{} is back, on node {node} now,", who.full_name).bold(),
        format_args!("and asks for what follows seq {known}").dimmed(),
    );
}

pub(super) fn starting_again(name: &str) {
    println!();
    println!(
        "{} {} {}",
        "▪".green(),
        format_args!("node {name} starts again").bold(),
        "and waits until the others have given up its former process …".dimmed()
    );
}

pub(super) fn complete(count: usize) {
    println!();
    println!(
        "{} compared with the inboxes: of {count} notifications, none was lost, doubled or out of order",
        "✓".green().bold()
    );
}

pub(super) fn serving(cluster: &Cluster, password: &str, cast: &[(&str, &str, &str)]) {
    to_try(&cluster.url(), password, cast);
    println!("{}", "Kill a node, and look at the console:".bold());
    for node in cluster.nodes.iter() {
        let pid = node.pid().unwrap_or_default();
        println!("  node {}  {}  kill -9 {pid}", node.name().cyan(), node.url());
    }
    println!();
    println!("{}", "Ctrl-C stops the nodes, and what was started with them.".dimmed());
}
