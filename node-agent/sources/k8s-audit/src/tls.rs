//! HTTPS: certificate, key and the CA of clients from PEM files, read again when they change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    counters::{Counters, add},
    files::Reloaded,
};

/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its CA.
    pub certificate: PathBuf,
    /// The private key; may be the same file.
    pub key: PathBuf,
    /// Who signs the certificates of clients. Without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("{}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key do not fit, or a certificate is malformed.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The CA of clients cannot be used.
    #[error("{}: {source}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: VerifierBuilderError,
    },
}

/// Makes TLS of connections.
pub struct Tls {
    files: TlsFiles,
    config: Reloaded<ServerConfig>,
}

impl Tls {
    /// Reads the files for the first time.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let watched = [&files.certificate, &files.key].into_iter().chain(&files.client_ca);
        let config = Reloaded::new(watched.cloned().collect(), || server_config(&files))?;
        Ok(Self { files, config })
    }

    /// The handshake of a new connection; those that are open keep what they agreed on.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        counters: &Counters,
    ) -> Option<TlsStream<TcpStream>> {
        let config = self.config.get(
            || server_config(&self.files),
            |error| tracing::error!("the last good certificate stays in use: {error}"),
        );
        match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!("TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("TLS handshake took more than {HANDSHAKE:?}"),
        }
        add(Some(&counters.handshakes_failed), 1);
        None
    }
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let wrong = |source| TlsError::Certificate { path: files.certificate.clone(), source };
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(in_file(&files.key))?;
    let verifier = verifier(files.client_ca.as_deref(), &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A certificate may be missing, since health checks have none, but one that is shown must be good.
fn verifier(
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = ca else { return Ok(Arc::new(NoClientAuth)) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let wrong = |source| TlsError::Certificate { path: path.to_owned(), source };
        roots.add(certificate).map_err(wrong)?;
    }
    let wrong = |source| TlsError::ClientCa { path: path.to_owned(), source };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.allow_unauthenticated().build().map_err(wrong)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(in_file(path))?;
    let all: Vec<_> = all;
    if all.is_empty() { Err(in_file(path)(pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn in_file(path: &Path) -> impl Fn(pem::Error) -> TlsError {
    move |source| TlsError::Pem { path: path.to_owned(), source }
}
