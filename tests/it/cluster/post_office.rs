//! A small mail server in this process, which takes e-mails and may leave them unanswered: what a
//! provider does that hangs.

use std::sync::{Arc, Mutex};

use bellpull::config::delivery::SmtpConfig;
use bellpull::config::{Config, Secret};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The server. It ends with the test.
pub(super) struct PostOffice {
    port: u16,
    state: State,
}

#[derive(Clone)]
struct State {
    mails: Arc<Mutex<Vec<Mail>>>,
    /// Whether e-mails are answered.
    answers: watch::Sender<bool>,
}

/// An e-mail, as soon as its text has arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Mail {
    /// Its `Message-ID`.
    pub(super) id: String,
    /// All of it.
    pub(super) text: String,
}

impl PostOffice {
    /// One that answers no e-mail until it is told to.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { mails: Arc::default(), answers: watch::Sender::new(false) };
        let own = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = own.clone();
                // A client that is killed breaks its connection.
                tokio::spawn(async move { state.serve(stream).await.unwrap_or_default() });
            }
        });
        Self { port, state }
    }

    /// Answers from now on, also what has arrived; or not.
    pub(super) fn answer(&self, answers: bool) {
        self.state.answers.send_replace(answers);
    }

    /// All that has arrived.
    pub(super) fn mails(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap().clone()
    }

    /// The settings of a process that sends here.
    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Makes a node in this process send here, so many at once.
    pub(super) fn configure(&self, config: &mut Config, in_flight: u32) {
        config.delivery.in_flight = in_flight;
        config.delivery.smtp = Some(SmtpConfig {
            url: Secret::new(self.url()),
            from: "desk@example.com".to_owned(),
            hello: None,
            ca_file: None,
            per_s: 0,
        });
    }
}

impl State {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 ready\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let command = line.to_ascii_uppercase();
            if command == "QUIT" {
                return write.write_all(b"221 bye\r\n").await;
            }
            if command != "DATA" {
                write.write_all(b"250 ok\r\n").await?;
                continue;
            }
            write.write_all(b"354 go on\r\n").await?;
            let mut mail = Mail::default();
            while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                if let Some(id) = line.strip_prefix("Message-ID: ") {
                    id.clone_into(&mut mail.id);
                }
                mail.text.push_str(&line);
                mail.text.push('\n');
            }
            self.mails.lock().unwrap().push(mail);
            let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
            write.write_all(b"250 taken\r\n").await?;
        }
        Ok(())
    }
}
