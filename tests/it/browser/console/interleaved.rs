//! Two users on one ticket at once, over slow lines that end, in orders of which each is made from
//! a seed: in the end both pages show what the hub says, and nothing that was typed is lost.

use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use super::super::page::Page;
use super::{IS_LIVE, Team, open};
use crate::support::Person;

/// What a user does on a page, and how often of ten times.
const DEEDS: [(&str, u32); 5] =
    [("comment", 3), ("edit", 3), ("step", 2), ("drop", 1), ("wait", 1)];

/// How long the pages may take to show what the hub says.
const PATIENCE: Duration = Duration::from_secs(30);

/// Some deeds of a user, the last of them a text that is left unsent.
fn deeds(random: &mut Rng, seed: u64, name: &str) -> Vec<Value> {
    let mut deeds: Vec<Value> = (0..6)
        .map(|nth| {
            let mut left = random.u32(0..10);
            let fits = |(_, often): &&(&str, u32)| {
                let is_it = left < *often;
                left = left.wrapping_sub(*often);
                is_it
            };
            let kind = DEEDS.iter().find(fits).unwrap().0;
            let what = ["title", "description"][random.usize(0..2)];
            json!({"kind": kind, "what": what, "text": format!("{name} {seed}.{nth}"),
                "pause": random.u32(0..400), "n": random.f64()})
        })
        .collect();
    deeds.push(json!({"kind": "draft", "text": format!("{name} goes on"), "pause": 0}));
    deeds
}

/// What the page is to show, by the hub.
async fn told(team: &Team, id: i64) -> Value {
    let at = format!("/api/tickets/{id}/");
    let (_, ticket) = team.hub.get(&team.root, &at).await;
    let list = async |what: &str| {
        let path = format!("{at}{what}/?page_size=100");
        team.hub.get(&team.root, &path).await.1["results"].take()
    };
    let each = |rows: &Value, name: &str| -> Vec<Value> {
        rows.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
    };
    let assigned = each(&list("assignees").await, "name");
    let assigned: Vec<&str> = assigned.iter().map(|one| one.as_str().unwrap()).collect();
    let assigned = if assigned.is_empty() { "not assigned".into() } else { assigned.join(", ") };
    let description = ticket["description"].as_str().filter(|text| !text.is_empty());
    json!({"title": ticket["title"], "status": ticket["status_display"],
        "description": description.unwrap_or("No description."),
        "priority": ticket["priority_display"], "assigned": assigned,
        "comments": each(&list("comments").await, "body"),
        "steps": each(&list("history").await, "version")})
}

/// Each text that was typed is with the hub: comments once, changes as what the ticket was then.
fn nothing_is_lost(played: &[(Vec<Value>, Value)], told: &Value) {
    let mut changes = Vec::new();
    for (deeds, log) in played {
        assert_eq!(log["failed"], json!([]), "{log}");
        let said = log["said"].as_array().unwrap();
        for deed in deeds {
            let text = &deed["text"];
            let is_saved = |one: &&Value| {
                one["status"] == 200 && one["sent"][deed["what"].as_str().unwrap()] == *text
            };
            let count =
                |list: &Value| list.as_array().unwrap().iter().filter(|one| *one == text).count();
            match deed["kind"].as_str().unwrap() {
                "comment" => assert_eq!(count(&told["comments"]), 1, "{text} {told}"),
                "edit" => assert!(said.iter().any(|one| is_saved(&one)), "{text} {log}"),
                _ => {}
            }
        }
        changes.extend(said.iter().filter(|one| one["method"] == "PATCH" && one["status"] == 200));
    }
    // The last one who changed a field has seen what it was before, and has it.
    changes.sort_by_key(|one| one["body"]["version"].as_i64());
    for field in ["title", "description"] {
        let of_field = changes.iter().rfind(|one| !one["sent"][field].is_null());
        if let Some(last) = of_field {
            assert_eq!(last["sent"][field], told[field], "{changes:?}");
        }
    }
}

async fn prepared(page: &mut Page, base: &str, id: i64) {
    page.go(&format!("{base}/console/tickets/{id}")).await;
    page.until(IS_LIVE).await;
    page.until("one('textarea[name=comment]') !== undefined").await;
}

async fn play(team: &Team, pages: &mut [(Page, &Person)], seed: u64) {
    let mut random = Rng::with_seed(seed);
    let base = team.hub.base();
    let id = team.hub.ticket(&team.jane, &format!("Ticket {seed}")).await;
    let mut plans = Vec::new();
    for (page, who) in &mut *pages {
        prepared(page, &base, id).await;
        plans.push(deeds(&mut random, seed, &who.username));
    }
    let playing = pages.iter_mut().zip(&plans).map(|((page, who), deeds)| {
        let script =
            format!("play({}, {})", seed * 2 + u64::from(who.id == team.ada.id), json!(deeds));
        async move { page.run(&script).await }
    });
    // A developer works beside them, and is on neither page.
    let working = async {
        for step in ["start_work", "finish_work"] {
            tokio::time::sleep(Duration::from_millis(900)).await;
            let path = format!("/api/tickets/{id}/{step}/");
            team.hub.post(&team.dev, &path, json!({})).await;
        }
    };
    let (logs, ()) = tokio::join!(futures_util::future::join_all(playing), working);
    let played: Vec<(Vec<Value>, Value)> = plans.into_iter().zip(logs).collect();
    let begun = Instant::now();
    loop {
        let told = told(team, id).await;
        let mut seen = Vec::new();
        for (page, who) in &mut *pages {
            let mut shown = page.run("seen()").await;
            assert_eq!(shown["typed"].take(), format!("{} goes on", who.username), "seed {seed}");
            shown.as_object_mut().unwrap().remove("typed");
            seen.push(shown);
        }
        if seen.iter().all(|one| *one == told) {
            return nothing_is_lost(&played, &told);
        }
        assert!(begun.elapsed() < PATIENCE, "seed {seed}: {seen:#?}\nthe hub: {told:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Plays the seeds on one pair of pages.
async fn play_all(seeds: impl Iterator<Item = u64>) {
    let team = Team::gather().await;
    let base = team.hub.base();
    let mut pages = Vec::new();
    for (who, role) in [(&team.jane, "client"), (&team.ada, "admin")] {
        let Some(mut page) = open(&base, who, role, "inbox").await else { return };
        let source = json!({"source": include_str!("interleaved.js")});
        page.call("Page.enable", json!({})).await;
        page.call("Page.addScriptToEvaluateOnNewDocument", source).await;
        pages.push((page, who));
    }
    for seed in seeds {
        let begun = Instant::now();
        play(&team, &mut pages, seed).await;
        println!("seed {seed}: {:.1} s", begun.elapsed().as_secs_f64());
    }
    drop(pages);
    team.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_at_once_over_bad_lines_see_the_same_in_the_end() {
    play_all(0..12).await;
}

/// `cargo test --test it -- --ignored --nocapture two_hundred_orders`; `SEEDS=40-59` for some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half an hour"]
async fn two_hundred_orders_of_what_two_users_do() {
    let seeds = std::env::var("SEEDS").unwrap_or_else(|_| "0-199".to_owned());
    let (first, last) = seeds.split_once('-').unwrap();
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    for some in (first..=last).collect::<Vec<u64>>().chunks(20) {
        play_all(some.iter().copied()).await;
    }
}
