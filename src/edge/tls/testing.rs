//! Connections over TLS for tests, with a certificate of their own.
#![allow(clippy::unwrap_used, reason = "of tests alone")]

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Acceptor;
use crate::stream::Stream;
use bellpull_tls::Certificate;
use bellpull_tls::testing::{NAME, write_files};

/// A server's side with a new certificate, and the certificate.
pub fn acceptor(per_s: u32) -> (Acceptor, CertificateDer<'static>) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::load(write_files(folder.path())).unwrap();
    let first = certificate.end_entity().unwrap();
    (Acceptor::new(Arc::new(certificate), per_s).unwrap(), first)
}

/// A client that trusts that certificate alone.
pub fn client_config(trusted: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Both sides of an open connection, from those of a TCP connection.
pub async fn open(
    client: TcpStream,
    server: TcpStream,
) -> (tokio_rustls::client::TlsStream<TcpStream>, Stream) {
    let (acceptor, certificate) = acceptor(0);
    let connector = TlsConnector::from(client_config(certificate));
    let (client, server) = tokio::join!(
        connector.connect(ServerName::try_from(NAME).unwrap(), client),
        acceptor.accept(server, IpAddr::from([127, 0, 0, 1])),
    );
    (client.unwrap(), Stream::Tls(server.unwrap()))
}
