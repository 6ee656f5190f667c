//! A line between a page and a hub that a test can cut, stall or make unfit for WebSockets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It carries everything.
    Good,
    /// Handshakes of WebSockets are dropped, as by a proxy that does not know them.
    NoSockets,
    /// Nothing is sent any more, without a notice.
    Stalled,
}

/// The line; each change ends the connections on it, or (stalled) freezes them.
pub struct Line {
    pub address: SocketAddr,
    to: watch::Sender<(SocketAddr, Mood)>,
}

impl Line {
    pub async fn to(hub: SocketAddr, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, now) = watch::channel((hub, mood));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, now.clone()));
            }
        });
        Self { address, to }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn lead(&self, hub: SocketAddr, mood: Mood) {
        self.to.send_replace((hub, mood));
    }
}

async fn carry(mut near: TcpStream, mut now: watch::Receiver<(SocketAddr, Mood)>) {
    let (hub, mood) = *now.borrow_and_update();
    let mut head = vec![0; 16 * 1024];
    let work = async {
        let length = near.read(&mut head).await?;
        let text = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
        if mood == Mood::NoSockets && text.contains("upgrade: websocket") {
            return Ok(());
        }
        if mood == Mood::Stalled {
            return std::future::pending().await;
        }
        let mut far = TcpStream::connect(hub).await?;
        far.write_all(&head[..length]).await?;
        copy_bidirectional(&mut near, &mut far).await.map(drop)
    };
    let is_over = tokio::select! {
        _ = work => true,
        _ = now.changed() => false,
    };
    // A stalled line holds what it has until it is led elsewhere.
    if !is_over && now.borrow().1 == Mood::Stalled {
        let _ = now.changed().await;
    }
    drop(near);
}
