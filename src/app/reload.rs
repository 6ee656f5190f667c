//! What a running hub reads anew when it is told to.

use tracing::info;

use super::App;

impl App {
    /// Reads the certificate and the keys of tokens anew; they are read within a minute anyway.
    pub fn reload(&self) {
        info!("told to reload: the certificate and the keys of tokens are read anew");
        if let Some(certificate) = &self.certificate {
            certificate.ask();
        }
        let auth = self.auth.clone();
        tokio::spawn(async move { auth.read_keys_anew().await });
    }
}
