//! The kubeconfig by which an API server finds the agent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

/// Where the agent listens, and how each side proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://127.0.0.1:8765/k8s-audit`.
    pub url: String,
    /// PEM certificates that the agent's one is signed by.
    pub ca: Option<Vec<u8>>,
    /// PEM certificate and key that the API server shows.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Endpoint {
    /// The kubeconfig.
    pub fn kubeconfig(&self) -> String {
        let cluster = match &self.ca {
            Some(ca) => json!({"server": self.url, "certificate-authority-data": STANDARD.encode(ca)}),
            None => json!({"server": self.url}),
        };
        let user = match &self.client {
            Some((certificate, key)) => json!({
                "client-certificate-data": STANDARD.encode(certificate),
                "client-key-data": STANDARD.encode(key),
            }),
            None => json!({}),
        };
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n  - name: saker\n    cluster: {cluster}\nusers:\n  - name: \
             kube-apiserver\n    user: {user}\ncontexts:\n  - name: saker\n    context: {{cluster: saker, user: \
             kube-apiserver}}\ncurrent-context: saker\n"
        )
    }
}
