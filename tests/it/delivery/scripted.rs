//! A mail server that answers commands as a test says.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// See the module; clones are the same server.
#[derive(Clone, Default)]
pub(super) struct Scripted {
    /// How the lines begin that are answered otherwise than with success, and by what.
    answers: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
    /// The recipients of what was taken.
    taken: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Its address.
    pub(super) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        url
    }

    /// From now on, lines that begin so are answered so. The empty line is the greeting.
    pub(super) fn answer(&self, answers: &[(&'static str, &'static str)]) {
        *self.answers.lock().unwrap() = answers.to_vec();
    }

    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    fn answer_to(&self, line: &str) -> Option<&'static str> {
        let answers = self.answers.lock().unwrap();
        let is_it =
            |begin: &str| if begin.is_empty() { line.is_empty() } else { line.starts_with(begin) };
        answers.iter().find(|(begin, _)| is_it(begin)).map(|(_, answer)| *answer)
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let (mut lines, mut is_text, mut to) = (BufReader::new(read).lines(), false, String::new());
        let greeting = self.answer_to("").unwrap_or("220 scripted.example");
        write.write_all(format!("{greeting}\r\n").as_bytes()).await?;
        while let Some(line) = lines.next_line().await? {
            if is_text && line != "." {
                continue;
            }
            if is_text {
                self.taken.lock().unwrap().push(to.clone());
            } else if let Some(address) = line.strip_prefix("RCPT TO:<") {
                address.trim_end_matches('>').clone_into(&mut to);
            }
            let (other, has_ended) = (self.answer_to(&line).filter(|_| !is_text), is_text);
            is_text = !is_text && line == "DATA" && other.is_none();
            let usual = if is_text { "354 go on" } else { "250 ok" };
            write.write_all(format!("{}\r\n", other.unwrap_or(usual)).as_bytes()).await?;
            if has_ended {
                break; // so that each mail has a greeting
            }
        }
        Ok(())
    }
}
