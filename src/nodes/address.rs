//! The URL at which other machines reach a listening address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::Url;
use tokio::net::UdpSocket;

/// PostgreSQL's port, where a URL names none.
const DATABASE_PORT: u16 = 5432;

/// The URL of a listening address. One that listens on all of a machine's addresses is named by the
/// address from which the machine reaches the database: the other nodes are in the same network.
pub async fn reached_at(scheme: &str, address: SocketAddr, database_url: &str) -> String {
    if !address.ip().is_unspecified() {
        return format!("{scheme}://{address}");
    }
    let own = own_address(database_url).await.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    format!("{scheme}://{}", SocketAddr::new(own, address.port()))
}

/// The address from which this machine reaches the database's server; nothing is sent.
async fn own_address(database_url: &str) -> Option<IpAddr> {
    let url = Url::parse(database_url).ok().filter(|url| url.scheme() != "sqlite")?;
    let server = (url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port());
    let server = (server.0, server.1.unwrap_or(DATABASE_PORT));
    let server = tokio::net::lookup_host(server).await.ok()?.next()?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_means_all_is_made_one() {
        let of = async |listen: &str, database: &str| {
            reached_at("http", listen.parse().unwrap(), database).await
        };
        let named = "http://192.0.2.7:8000";
        assert_eq!(of("192.0.2.7:8000", "postgres://u@127.0.0.1/d").await, named);
        let own = "http://127.0.0.1:81";
        assert_eq!(of("0.0.0.0:81", "sqlite://bellpull.db").await, own);
        assert_eq!(of("0.0.0.0:81", "postgres://u:p@127.0.0.1:5/d").await, own);
        assert_eq!(of("[::]:81", "postgres://u@/d?host=/var/run").await, own);
    }
}
