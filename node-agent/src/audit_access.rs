//! HTTPS, and who may post audit events: checked before anything starts.

use std::path::Path;

use anyhow::{Context, bail};
use saker_source_k8s_audit::{Access, Tls, TlsFiles, Token};

use crate::config::{Config, K8sAudit};

/// TLS of the server, if it is wanted.
pub fn tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    let web = &config.webserver;
    if !web.ssl_enabled {
        return Ok(None);
    }
    let certificate = web.ssl_certificate.clone();
    let key = given(&web.ssl_private_key).unwrap_or(&certificate).to_owned();
    let client_ca = given(&config.k8s_audit.client_ca).map(Path::to_owned);
    let files = TlsFiles { certificate, key, client_ca };
    let advice = "cannot serve HTTPS: webserver.ssl_certificate, webserver.ssl_private_key and k8s_audit.client_ca name PEM files";
    Tls::load(files).map(Some).context(advice)
}

/// Who may post. An address that others can reach must not take events from anybody by mistake.
pub fn access(config: &Config) -> anyhow::Result<Access> {
    let K8sAudit { client_ca, token_file, allow_anonymous, .. } = &config.k8s_audit;
    let web = &config.webserver;
    let token = given(token_file).map(|path| Token::load(path.to_owned())).transpose();
    let access =
        Access { token: token.context("k8s_audit.token_file")?, certificate: given(client_ca).is_some() };
    let open = access.token.is_none() && !access.certificate;
    if web.listen_address.is_loopback() || web.k8s_audit_endpoint.is_empty() {
        return Ok(access);
    }
    let address = web.listen_address;
    if open && !allow_anonymous {
        bail!(
            "whoever reaches {address} could post forged audit events: set k8s_audit.client_ca (with webserver.ssl_enabled) or k8s_audit.token_file; or webserver.listen_address=127.0.0.1; or webserver.k8s_audit_endpoint='' to take no posts; or k8s_audit.allow_anonymous=true"
        );
    }
    if open {
        tracing::warn!("whoever reaches {address} may post audit events (k8s_audit.allow_anonymous)");
    } else if !web.ssl_enabled {
        tracing::warn!("the token of audit events passes {address} unencrypted: set webserver.ssl_enabled");
    }
    Ok(access)
}

/// A path of the configuration, if it is set.
pub fn given(path: &Path) -> Option<&Path> {
    Some(path).filter(|path| !path.as_os_str().is_empty())
}
