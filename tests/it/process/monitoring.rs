//! The alert rules and the dashboard of `docs/deploy`, in a real Prometheus beside a real hub.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::traces::{TRACE, raise_traced};
use super::{Caller, PATIENCE};
use crate::support::process::{Process, folder};
use crate::support::skip::skipped;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `promtool` says; `None`, told, where it is not installed.
fn promtool(arguments: &[&str], stdin: Stdio) -> Option<Output> {
    let mut command = Command::new("promtool");
    let Ok(output) = command.args(arguments).current_dir(root()).stdin(stdin).output() else {
        skipped("promtool is not installed (tests/run.sh does)");
        return None;
    };
    Some(output)
}

fn assert_success(output: &Output) {
    let (out, err) = (&output.stdout, &output.stderr);
    let text = [out.as_slice(), err.as_slice()].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn each_alert_fires_on_what_it_is_for_and_none_on_a_good_day() {
    for arguments in [
        ["check", "rules", "docs/deploy/alerts.yml"],
        ["test", "rules", "tests/monitoring/alerts.yml"],
    ] {
        let Some(output) = promtool(&arguments, Stdio::null()) else { return };
        assert_success(&output);
    }
    let rules = fs::read_to_string(root().join("docs/deploy/alerts.yml")).unwrap();
    let tests = fs::read_to_string(root().join("tests/monitoring/alerts.yml")).unwrap();
    let handbook = fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        let tried = tests.matches(&format!("alertname: {alert}")).count();
        assert_eq!(tried, 2, "{alert} is tried {tried} times");
        assert!(handbook.contains(&format!("\n## {alert}\n")), "{alert} is not in the handbook");
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Prometheus in a process of its own.
struct Prometheus {
    child: Child,
    base: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(folder: &Path, hub: &str) -> Option<Self> {
        let rules = root().join("docs/deploy/alerts.yml");
        let port = free_port();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n- job_name: bellpull\n  metrics_path: /metrics/\n  \
             static_configs: [{{targets: [{hub:?}]}}]\n"
        );
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("series").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skipped("Prometheus is not installed (tests/run.sh does)");
            return None;
        };
        Some(Self { child, base: format!("http://127.0.0.1:{port}") })
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), query).unwrap();
        get(url.as_str()).await?.json().await.ok()
    }

    /// The result of an expression.
    async fn value(&self, expression: &str) -> Value {
        let answer = self.ask("/api/v1/query", &[("query", expression)]).await.unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].clone()
    }
}

async fn get(url: &str) -> Option<reqwest::Response> {
    bellpull::tls::client().build().unwrap().get(url).send().await.ok()
}

/// The dashboard's panels that show something.
fn panels() -> Vec<Value> {
    let text = fs::read_to_string(root().join("docs/deploy/grafana.json")).unwrap();
    let mut board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array_mut().map(std::mem::take).unwrap();
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// Names of metrics in a text: `bellpull_…` and `process_…`.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    words.filter(|word| word.starts_with("bellpull_") || word.starts_with("process_")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_the_metrics_and_every_query_of_the_dashboard_has_an_answer() {
    let (folder, database) = folder();
    let hub = Process::serve(&database, &[]);
    let url = format!("http://{}/metrics/", hub.address);
    let text = get(&url).await.unwrap().text().await.unwrap();
    let exposed = names(&text);

    let file = folder.path().join("metrics.txt");
    fs::write(&file, &text).unwrap();
    let input = Stdio::from(fs::File::open(&file).unwrap());
    let Some(output) = promtool(&["check", "metrics"], input) else { return };
    assert_success(&output);

    let address = hub.address.to_string();
    let Some(prometheus) = Prometheus::start(folder.path(), &address) else { return };
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "Prometheus has not read the hub");
        let rates =
            prometheus.ask("/api/v1/query", &[("query", "rate(bellpull_commits_total[5s])")]);
        let rates = rates.await.unwrap_or_default();
        if rates["data"]["result"].as_array().is_some_and(|found| !found.is_empty()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let panels = panels();
    assert!(panels.len() > 30, "{}", panels.len());
    for panel in &panels {
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{panel}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let concrete = expression.replace("$__rate_interval", "5s").replace("$instance", ".*");
            assert!(!concrete.contains('$'), "{concrete}");
            let found = prometheus.value(&concrete).await;
            assert!(found.as_array().is_some_and(|all| !all.is_empty()), "nothing: {concrete}");
        }
    }
    let rules = fs::read_to_string(root().join("docs/deploy/alerts.yml")).unwrap();
    for name in names(&rules) {
        let name = name.trim_end_matches("_bucket");
        assert!(exposed.iter().any(|one| one.trim_end_matches("_bucket") == name), "no {name}");
    }
    let rules = prometheus.ask("/api/v1/rules", &[]).await.unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().cloned().unwrap();
    assert!(rules.len() > 15, "{rules:?}");
    for rule in rules {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_bucket_leads_to_a_trace_by_its_exemplar() {
    let (folder, database) = folder();
    // No collector listens: exemplars do not need one.
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let settings = [("BELLPULL_OTLP_ENDPOINT", endpoint.as_str()), ("BELLPULL_OTLP_SAMPLE", "0")];
    let hub = Process::serve(&database, &settings);
    let url = format!("http://{}/metrics/", hub.address);
    let carl = Caller::join(&database, hub.address, "carl", "client");
    carl.raise("Untraced").await;
    let plain = get(&url).await.unwrap().text().await.unwrap();
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(raise_traced(&carl, &traceparent).await, 201);

    let request = bellpull::tls::client().build().unwrap().get(&url);
    let answer = request.header("accept", "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    let answer = answer.send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = answer.text().await.unwrap();
    assert_eq!(text.lines().last(), Some("# EOF"));
    let samples = |text: &str| -> String {
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    let [open, plain] = [&text, &plain].map(|text| samples(text));
    assert_eq!(names(&open), names(&plain), "the same metrics in both formats");
    let traced = |name: &str| {
        text.lines().filter(|line| line.starts_with(name) && line.contains(" # {")).count()
    };
    assert_eq!(traced("bellpull_http_request_seconds_bucket"), 1, "{text}");
    assert_eq!(traced("bellpull_commit_seconds_bucket"), 1, "{text}");

    let address = hub.address.to_string();
    let Some(prometheus) = Prometheus::start(folder.path(), &address) else { return };
    let query = [
        ("query", "bellpull_http_request_seconds_bucket"),
        ("start", "2020-01-01T00:00:00Z"),
        ("end", "2100-01-01T00:00:00Z"),
    ];
    let begun = Instant::now();
    let found = loop {
        assert!(begun.elapsed() < PATIENCE, "Prometheus has no exemplar");
        let answer = prometheus.ask("/api/v1/query_exemplars", &query).await.unwrap_or_default();
        if let Some(series) = answer["data"].get(0) {
            break series.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert_eq!(found["seriesLabels"]["route"], "/api/tickets/", "{found}");
    let exemplar = &found["exemplars"][0];
    assert_eq!(exemplar["labels"]["trace_id"], TRACE, "{found}");
    let seconds: f64 = exemplar["value"].as_str().unwrap().parse().unwrap();
    let bound: f64 = found["seriesLabels"]["le"].as_str().unwrap().parse().unwrap();
    assert!(seconds > 0.0 && seconds <= bound, "{found}");
}
