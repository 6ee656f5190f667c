//! What systemd is told, on its socket.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::process::{Process, folder};

const PATIENCE: Duration = Duration::from_secs(30);

fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).expect("a message in time");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn systemd_is_told_of_readiness_life_and_the_end() {
    let (folder, database) = folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let settings = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let hub = Process::serve(&database, &settings);
    let ready = next(&socket);
    let status = format!("STATUS=listening on http://{}", hub.address);
    assert!(ready.contains("READY=1\n") && ready.contains(&status), "{ready}");
    for _ in 0..3 {
        assert_eq!(next(&socket).trim(), "WATCHDOG=1");
    }
    assert!(hub.terminate().success());
    let mut last = next(&socket);
    while last.trim() == "WATCHDOG=1" {
        last = next(&socket);
    }
    assert!(last.contains("STOPPING=1\n"), "{last}");
}
