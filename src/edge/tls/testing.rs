//! Connections over TLS for tests, with a certificate of their own.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Acceptor;
use crate::config::TlsConfig;
use crate::edge::stream::Stream;
use crate::tls::Certificate;

/// What the certificate names.
pub(crate) const NAME: &str = "hub.example";

/// Writes a certificate for [`NAME`] and its key into a folder.
pub(crate) fn write_files(folder: &Path) -> TlsConfig {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let files = TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.cert, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

/// A server's side with a new certificate, and the certificate.
pub(crate) fn acceptor(per_s: u32) -> (Acceptor, CertificateDer<'static>) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::load(write_files(folder.path())).unwrap();
    let first = certificate.end_entity().unwrap();
    (Acceptor::new(Arc::new(certificate), per_s).unwrap(), first)
}

/// A client that trusts that certificate alone.
pub(crate) fn client_config(trusted: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Both sides of an open connection, from those of a TCP connection.
pub(crate) async fn open(
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
