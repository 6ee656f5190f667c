//! The options of `load`, and the plan that they result in.

use clap::Parser;

use super::*;
use crate::pipe::Pace;
use crate::plan::Server;
use crate::tokens::Login;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn plan(line: &[&str]) -> Result<Plan, LoadError> {
    let line = Line::try_parse_from(["load"].iter().chain(line)).unwrap();
    match line.args.command {
        Command::Idle(options) => options.plan(Workload::Idle, false),
        Command::Connect(options) => options.plan(Workload::Connect, true),
        Command::FanOut(_)
        | Command::Tickets(_)
        | Command::Replay(_)
        | Command::Mixed(_)
        | Command::Worker
        | Command::BareLoop => panic!("not here"),
    }
}

#[test]
fn without_a_server_one_is_started_with_a_thousand_users() {
    let plan = plan(&["idle"]).unwrap();
    assert_eq!((plan.servers, plan.sizes), (vec![Server::Spawned(None)], vec![1000]));
    assert_eq!((plan.pace, plan.login), (Pace::Closed(64), Login::Anonymous));
}

#[test]
fn servers_are_measured_in_their_order_and_the_bare_loop_last() {
    let line = ["connect", "--spawn", "--spawn=/x/old", "--url", "ws://127.0.0.1:1/a", "--pid=9"];
    let plan = plan(&[&line[..], &["--rate", "500", "--scale", "5,10"]].concat()).unwrap();
    let names: Vec<String> = plan.servers.iter().map(Server::name).collect();
    assert_eq!(names, ["bellpull", "/x/old", "ws://127.0.0.1:1/a", "bare loop"]);
    assert_eq!((plan.sizes, plan.pace), (vec![5, 10], Pace::Open { every_ns: 2_000_000 }));
}

#[test]
fn reads_wait_as_long_as_the_options_say() {
    let waits = |line: &[&str]| {
        let line = Line::try_parse_from(["load", "connect"].iter().chain(line)).ok()?;
        let Command::Connect(options) = line.args.command else { panic!("not connect") };
        Some(options.read_waits().iter().map(Duration::as_micros).collect::<Vec<_>>())
    };
    assert_eq!(waits(&[]), Some(vec![0]));
    assert_eq!(waits(&["--read-wait", "0,500"]), Some(vec![0, 500]));
    assert_eq!(waits(&["--read-wait=-1"]), None);
    assert_eq!(waits(&["--read-wait", "100001"]), None);
}

#[test]
fn urls_joined_by_commas_are_one_cluster() {
    let cluster = "ws://127.0.0.1:1/a?b=1,2,ws://127.0.0.1:2/a?b=1,2";
    let nodes = |line: &[&str]| match &plan(line)?.servers[..] {
        [Server::Running(running)] => {
            let ports = running.places.iter().map(|place| place.address.port());
            Ok((ports.collect::<Vec<_>>(), running.pids.clone()))
        }
        others => panic!("{others:?}"),
    };
    assert_eq!(nodes(&["idle", "--url", cluster]).unwrap(), (vec![1, 2], vec![]));
    let known = ["idle", "--url", cluster, "--pid", "7,8"];
    assert_eq!(nodes(&known).unwrap(), (vec![1, 2], vec![7, 8]));
    let one = "ws://127.0.0.1:1/a?b=1,2";
    assert_eq!(nodes(&["idle", "--url", one, "--pid", "7"]).unwrap(), (vec![1], vec![7]));
    for (line, why) in [
        (["idle", "--url", cluster, "--pid", "7"], "--pid: 1 for 2 nodes"),
        (["idle", "--url", "ws://127.0.0.1:1/a,ws://127.0.0.1:2/b", "--pid", "7,8"], "one path"),
        (["idle", "--url", "ws://127.0.0.1:1,ftp://x", "--pid", "7,8"], "--url: ftp://x"),
    ] {
        let error: LoadError = nodes(&line).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(Line::try_parse_from(["load", "idle", "--url", one, "--pid", "7,x"]).is_err());
}

#[test]
fn users_are_a_number_or_a_range() {
    let url = ["idle", "--url", "ws://127.0.0.1:1", "--jwt-secret", "hunter2"];
    for (users, sizes, range) in [
        (&["--users", "7..11"][..], vec![5], (7, 11)),
        (&["--users", "30"], vec![30], (1, 30)),
        (&["--users", "7..11", "--scale", "2,4"], vec![2, 4], (7, 11)),
        (&["--scale", "2,4000"], vec![2, 4000], (1, 4000)),
        (&[], vec![1000], (1, 1000)),
    ] {
        let plan = plan(&[&url[..], users].concat()).unwrap();
        let secret = "hunter2".to_owned();
        let login = Login::Signed { secret, from: range.0, to: range.1 };
        assert_eq!((plan.sizes.clone(), &plan.login), (sizes, &login), "{users:?}");
        assert!(!format!("{plan:?}").contains("hunter2"));
    }
    assert!(Line::try_parse_from(["load", "idle", "--users", "11..7"]).is_err());
    let line = Line::try_parse_from(["load", "idle"]).unwrap();
    let Command::Idle(options) = line.args.command else { panic!("not idle") };
    let tickets = options.with_users(STAFF).plan(Workload::Idle, false).unwrap();
    assert_eq!(tickets.sizes, [40]);
}
