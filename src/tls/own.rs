//! A client for this installation's own hubs: besides certificates that the public roots have
//! signed, it trusts the hub's own.
//!
//! Nodes and commands reach a hub by an address of its network, which no certificate names, and a
//! certificate may be self-signed. They have the certificate's file, so they compare the whole
//! certificate; the server proves by its signature that it has the key.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::{BadFiles, Certificate, certificate};
use bellpull_config::TlsConfig;

/// The certificate of this installation's hubs.
#[derive(Debug, Clone)]
pub enum Own {
    /// That in use, which follows its files.
    Live(Arc<Certificate>),
    /// That of a file, read once.
    Read(CertificateDer<'static>),
}

impl Own {
    /// Reads the certificate; its key is not needed to recognise it.
    ///
    /// # Errors
    /// [`BadFiles`].
    pub fn read(files: &TlsConfig) -> Result<Self, BadFiles> {
        certificate::read_first(files).map(Self::Read)
    }

    fn is(&self, certificate: &CertificateDer<'_>) -> bool {
        match self {
            Self::Live(own) => own.end_entity().as_ref() == Some(certificate),
            Self::Read(own) => own == certificate,
        }
    }
}

/// Accepts the hub's own certificate, and what `public` accepts.
#[derive(Debug)]
pub(super) struct OwnOrPublic {
    pub(super) own: Own,
    pub(super) public: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OwnOrPublic {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.is(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let public = &self.public;
        public.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.public.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.public.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.public.supported_verify_schemes()
    }
}
