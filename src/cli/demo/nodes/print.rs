//! The lines that only a demo on several nodes prints.

use anstream::println;
use owo_colors::OwoColorize;

use super::super::client::Person;
use super::super::print::to_try;
use super::cluster::Cluster;

pub(super) fn opening(cluster: &Cluster) {
    let count = cluster.nodes.len();
    let services = if cluster.has_own_services() { "of its own" } else { "as given" };
    println!();
    println!(
        "{}  a ticket's life cycle on {count} nodes, one of which is killed meanwhile",
        "Bellpull".bold()
    );
    println!(
        "{}",
        format_args!("PostgreSQL and Redis {services}; a proxy on {} before", cluster.url())
            .dimmed()
    );
    for node in cluster.nodes.iter() {
        let pid = node.pid().unwrap_or_default();
        println!(
            "  {} node {} {}",
            "▪".cyan(),
            node.name().cyan(),
            format_args!("{}  process {pid}", node.url()).dimmed()
        );
    }
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
        format_args!("{} is back, now on {node}", who.full_name).bold(),
        format_args!("and asks for what follows seq {known}").dimmed(),
    );
}

pub(super) fn started_again(name: &str) {
    println!();
    println!("{} {}", "▪".green(), format_args!("node {name} is started again").bold());
}

pub(super) fn complete(count: usize) {
    println!();
    println!(
        "{} compared with the inboxes: of {count} notifications none was missed, doubled or out of order",
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
