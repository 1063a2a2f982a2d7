//! Asking a server over HTTP.

use std::time::Duration;

use reqwest::{Certificate, blocking::Client};

/// A client that trusts these authorities, or else those of the system, and waits no longer than this.
pub(crate) fn client(authorities: Option<Vec<Certificate>>, patience: Duration) -> reqwest::Result<Client> {
    // An error only says that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().timeout(patience).no_proxy();
    match authorities {
        Some(authorities) => client.tls_certs_only(authorities).build(),
        None => client.build(),
    }
}
