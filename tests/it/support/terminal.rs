//! A command in a pseudo-terminal: what it draws, as a user in front of it sees it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty;
use rustix::termios::{Winsize, tcsetwinsize};

/// How long anything may take: long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal, and the command in it.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts the command in a terminal of that size.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
        pty::grantpt(&master).unwrap();
        pty::unlockpt(&master).unwrap();
        let name = pty::ptsname(&master, Vec::new()).unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let line = || {
            let name = name.to_str().unwrap();
            Stdio::from(File::options().read(true).write(true).open(name).unwrap())
        };
        command.stdin(line()).stdout(line()).stderr(line()).env("TERM", "xterm-256color");
        let child = command.spawn().unwrap();
        drop(command); // its ends of the line, or the reader would never see the end
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let reader = std::thread::spawn({
            let (screen, master) = (Arc::clone(&screen), master.try_clone().unwrap());
            move || read(File::from(master), &screen)
        });
        let keyboard = File::from(master);
        Self { child, keyboard, screen, reader: Some(reader) }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What is on the screen.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until all of that is on the screen; the screen.
    pub fn shows(&self, wanted: &[&str]) -> String {
        self.until(&format!("{wanted:?}"), |text| wanted.iter().all(|word| text.contains(word)))
    }

    /// Waits until the screen is as wanted.
    pub fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "not shown: {what}; but\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the command draws on the screen that is thrown away at its end.
    pub fn is_full_screen(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Sends `SIGTERM`.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for the command's end.
    pub fn exited(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it goes on:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        };
        // Once the other end is closed, the reader has read everything.
        self.reader.take().map(JoinHandle::join).transpose().unwrap();
        status
    }
}

fn read(mut master: File, screen: &Mutex<vt100::Parser>) {
    let mut bytes = [0; 4096];
    // At the end, reading from a pseudo-terminal fails.
    while let Ok(read @ 1..) = master.read(&mut bytes) {
        screen.lock().unwrap().process(&bytes[..read]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
