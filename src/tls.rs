//! HTTP clients: TLS with one provider, and the root certificates that browsers trust.
//!
//! The roots are compiled in, so it works where no certificates are installed. A client follows no
//! redirects (a request for one server is not for another) and uses no proxy that is not
//! configured.

use std::sync::{Arc, LazyLock};

use reqwest::redirect::Policy;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};

/// Created once: it holds all the roots.
static TLS: LazyLock<Option<ClientConfig>> = LazyLock::new(|| {
    // A second call fails because the same provider is already installed.
    let _ = ring::default_provider().install_default();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = CryptoProvider::get_default().map(Arc::clone)?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(builder.with_root_certificates(roots).with_no_client_auth())
});

/// A builder for clients.
pub fn client() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    match TLS.clone() {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder, // it then says itself what is missing
    }
}
