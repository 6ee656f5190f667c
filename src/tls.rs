//! HTTP clients: TLS by one provider, with the roots that browsers trust.
//!
//! The roots come along with the binary: it works where no certificates are installed. A client
//! follows no redirect (what was to be sent to one server is not for another) and uses no proxy
//! that it was not told of.

use std::sync::{Arc, LazyLock};

use reqwest::redirect::Policy;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};

/// Made once: it holds all the roots.
static TLS: LazyLock<Option<ClientConfig>> = LazyLock::new(|| {
    // Of a second call nothing comes: the same provider is there already.
    let _ = ring::default_provider().install_default();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = CryptoProvider::get_default().map(Arc::clone)?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(builder.with_root_certificates(roots).with_no_client_auth())
});

/// The beginning of a client.
pub fn client() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    match TLS.clone() {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder, // it then says itself what is missing
    }
}
