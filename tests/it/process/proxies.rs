//! The recipes of `docs/deploy` for reverse proxies, in the real ones. [`super::rolling`] tries
//! them while nodes restart.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Caller, PATIENCE};
use crate::support::process::{Process, folder};
use crate::support::skip::skipped;

/// A proxy in a process of its own.
pub(super) struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn recipe(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy").join(name))
        .unwrap()
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Each replaced text must be there: a recipe that changes is not tried otherwise.
fn replaced(mut text: String, changes: &[(&str, &str)]) -> String {
    for (from, into) in changes {
        assert!(text.contains(from), "{from} is not in the recipe");
        text = text.replace(from, into);
    }
    text
}

/// Starts a proxy; where it listens. `None`, told, where it is not installed.
fn start(command: &mut Command, port: u16) -> Option<(Proxy, SocketAddr)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(child) = child else {
        skipped(&format!("{name} is not installed (tests/run.sh does)"));
        return None;
    };
    let (proxy, address) = (Proxy(child), SocketAddr::from(([127, 0, 0, 1], port)));
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{name} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((proxy, address))
}

/// REST, sockets, event streams and what is for operators alone, through the proxy.
async fn works(hub: &Process, database: &Path, proxy: SocketAddr) {
    let boss = Caller::join(database, hub.address, "boss", "super_admin");
    let direct = Caller::join(database, hub.address, "ada", "admin");
    let ada = direct.moved(proxy);
    let mut socket = ada.socket("").await;
    let client = bellpull::tls::client().timeout(PATIENCE).build().unwrap();
    let url = format!("http://{proxy}/api/notifications/stream/");
    let stream = client.get(url).bearer_auth(&ada.token).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let body = json!({"recipients": [ada.id], "title": "Through", "message": "the proxy"});
    let (status, sent) = boss.moved(proxy).post("/api/notifications/", body).await;
    assert_eq!(status, 202, "{sent}");
    let frame = loop {
        let frame = socket.heard().await.unwrap();
        if frame.to_string().contains("Through") {
            break frame;
        }
    };
    assert!(frame.to_string().contains("the proxy"), "{frame}");
    let mut stream = stream;
    let mut text = String::new();
    while !text.contains("Through") {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("an event in time");
        text.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("more of the stream")));
    }
    names_the_client(&boss, &ada, proxy).await;
    for path in ["/metrics", "/api/operator/tree/"] {
        assert_eq!(boss.moved(proxy).get(path).await.0, 404, "{path}");
        assert_eq!(boss.get(path).await.0, 200, "{path}");
    }
}

/// What a client says of its own address does not count, in whichever header.
async fn names_the_client(boss: &Caller, ada: &Caller, proxy: SocketAddr) {
    const OWN: &str = "127.0.0.2";
    let client = bellpull::tls::client().local_address(OWN.parse::<IpAddr>().unwrap());
    let client = client.timeout(PATIENCE).build().unwrap();
    let url = format!("http://{proxy}/api/users/{}/", ada.id);
    let sent = client.patch(url).bearer_auth(&boss.token).json(&json!({"full_name": "Ada"}));
    let sent = sent.header("forwarded", "for=7.7.7.7").header("x-forwarded-for", "8.8.8.8");
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let (_, log) = boss.get("/api/audit/?page_size=1").await;
    assert_eq!(log["results"][0]["address"], OWN, "{log}");
}

/// nginx before these nodes, by its recipe with further changes.
pub(super) fn nginx(
    nodes: &[SocketAddr],
    folder: &Path,
    changes: &[(&str, &str)],
) -> Option<(Proxy, SocketAddr)> {
    let (port, root) = (free_port(), folder.display());
    let servers = lines(nodes, |_, node| format!("server {node} max_fails=1 fail_timeout=1s;"));
    let server = replaced(
        recipe("nginx.conf"),
        &[
            ("server 127.0.0.1:8000 max_fails=1 fail_timeout=1s;", &servers),
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{port};")),
            ("    ssl_certificate /etc/ssl/hub.example.com.pem;\n", ""),
            ("    ssl_certificate_key /etc/ssl/private/hub.example.com.key;\n", ""),
        ],
    );
    let server = replaced(server, changes);
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {root}/{name};\n"))
        .concat();
    let main = format!(
        "pid {root}/pid; error_log {root}/errors; events {{}}\nhttp {{ access_log off;\n{paths}{server}}}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, main).unwrap();
    let mut command = Command::new("nginx");
    let command = command.args(["-g", "daemon off; master_process off;", "-e", "stderr", "-c"]);
    start(command.arg(&file), port)
}

/// The same with Caddy.
pub(super) fn caddy(
    nodes: &[SocketAddr],
    folder: &Path,
    changes: &[(&str, &str)],
) -> Option<(Proxy, SocketAddr)> {
    let port = free_port();
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let site = replaced(
        recipe("Caddyfile"),
        &[
            ("127.0.0.1:8000", &nodes.join(" ")),
            ("\nhub.example.com {", &format!("\nhttp://127.0.0.1:{port} {{")),
        ],
    );
    let file = folder.join("Caddyfile");
    fs::write(&file, format!("{{\n\tadmin off\n}}\n{}", replaced(site, changes))).unwrap();
    let mut command = Command::new("caddy");
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    let command = command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    start(command, port)
}

/// The same with HAProxy.
pub(super) fn haproxy(
    nodes: &[SocketAddr],
    folder: &Path,
    changes: &[(&str, &str)],
) -> Option<(Proxy, SocketAddr)> {
    const CERTIFICATE: &str = "bind :443 ssl crt /etc/ssl/private/hub.example.com.pem";
    let port = free_port();
    let servers = lines(nodes, |at, node| format!("server n{at} {node}"));
    let servers = servers.replace('\n', " check inter 1s fall 1\n");
    let text = replaced(
        recipe("haproxy.cfg"),
        &[("server a 127.0.0.1:8000", &servers), (CERTIFICATE, &format!("bind 127.0.0.1:{port}"))],
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, replaced(text, changes)).unwrap();
    let mut command = Command::new("haproxy");
    start(command.arg("-db").arg("-f").arg(&file), port)
}

fn lines(nodes: &[SocketAddr], line: impl Fn(usize, &SocketAddr) -> String) -> String {
    let lines: Vec<String> = nodes.iter().enumerate().map(|(at, node)| line(at, node)).collect();
    lines.join("\n")
}

type Started = fn(&[SocketAddr], &Path, &[(&str, &str)]) -> Option<(Proxy, SocketAddr)>;

async fn works_with(proxy: Started) {
    let (folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_HTTP_TRUSTED_PROXIES", "127.0.0.1")]);
    let Some((_proxy, address)) = proxy(&[hub.address], folder.path(), &[]) else { return };
    works(&hub, &database, address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_with_its_recipe() {
    works_with(nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_with_its_recipe() {
    works_with(caddy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_with_its_recipe() {
    works_with(haproxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_with_its_recipe() {
    let (folder, database) = folder();
    let hub = Process::serve(&database, &[("BELLPULL_HTTP_TRUSTED_PROXIES", "127.0.0.1")]);
    let port = free_port();
    let site = replaced(
        recipe("apache.conf"),
        &[
            ("127.0.0.1:8000", &hub.address.to_string()),
            ("*:443", &format!("127.0.0.1:{port}")),
            ("    SSLEngine on\n", ""),
            ("    SSLCertificateFile /etc/ssl/hub.example.com.pem\n", ""),
            ("    SSLCertificateKeyFile /etc/ssl/private/hub.example.com.key\n", ""),
        ],
    );
    let modules = ["mpm_event", "authz_core", "alias", "headers", "proxy", "proxy_http"];
    let modules = modules
        .into_iter()
        .chain(["proxy_wstunnel"])
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    let root = folder.path().display();
    let modules: String = modules.collect();
    let text = format!(
        "ServerRoot {root}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {root}/pid\n\
         ErrorLog {root}/errors\nDefaultRuntimeDir {root}\n{modules}{site}"
    );
    let file = folder.path().join("apache.conf");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("apache2");
    let command = command.args(["-D", "FOREGROUND", "-f"]).arg(&file);
    let Some((_proxy, address)) = start(command, port) else { return };
    works(&hub, &database, address).await;
}
