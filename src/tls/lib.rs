//! TLS: HTTP clients, and the certificate of a hub that needs no proxy.
//!
//! A client trusts the root certificates that browsers trust. They are compiled in, so it works
//! where no certificates are installed. It follows no redirects (a request for one server is not
//! for another). For servers outside, `outbound` adds a proxy and certificates of one's own.

mod certificate;
mod outbound;
mod own;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::sync::{Arc, LazyLock};

use reqwest::redirect::Policy;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};

pub use self::certificate::{BadFiles, Certificate, follow};
pub use self::outbound::{BadOutbound, certificates, outbound_client, outbound_tls, set_outbound};
pub use self::own::Own;
use self::own::OwnOrPublic;

/// Created once: it holds all the roots.
static TLS: LazyLock<Option<Public>> = LazyLock::new(|| {
    let roots = Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    let provider = provider()?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().ok()?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    let config = builder.with_webpki_verifier(Arc::clone(&verifier)).with_no_client_auth();
    Some(Public { config, verifier })
});

/// Trusts the public roots.
struct Public {
    config: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
}

/// The process' cryptography.
fn provider() -> Option<Arc<CryptoProvider>> {
    // A second call fails because the same provider is already installed.
    let _ = ring::default_provider().install_default();
    CryptoProvider::get_default().map(Arc::clone)
}

/// A builder for clients, which use no proxy.
pub fn client() -> reqwest::ClientBuilder {
    built(TLS.as_ref().map(|public| public.config.clone())).no_proxy()
}

/// The same for this installation's own hubs, whose certificate it trusts besides.
pub fn hub_client(own: Option<Own>) -> reqwest::ClientBuilder {
    let Some(own) = own else { return client() };
    built(TLS.as_ref().map(|public| {
        let mut config = public.config.clone();
        let verifier = OwnOrPublic { own, public: Arc::clone(&public.verifier) };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        config
    }))
    .no_proxy()
}

fn built(tls: Option<ClientConfig>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().redirect(Policy::none());
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder, // it then says itself what is missing
    }
}
