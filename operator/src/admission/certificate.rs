//! The webhook's certificate: made by the operator itself, kept in a Secret for all its replicas, renewed in time.

use std::{
    net::IpAddr,
    sync::{Arc, RwLock},
};

use anyhow::Context as _;
use jiff::{Timestamp, ToSpan as _};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The Secret and the Service in the operator's namespace.
pub(super) const NAME: &str = "saker-operator";
/// Days that a certificate is valid, and days before its end when it is renewed.
const VALID_DAYS: (i64, i64) = (365, 60);
/// Clocks may differ by so many hours.
const CLOCK_SKEW_HOURS: i64 = 24;

/// A certificate with its key, and the authority that the API server shall trust. All PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) ca: String,
    certificate: String,
    key: String,
    /// The end of its validity, and the names it holds for, as they stand in the Secret.
    pub(super) until: Timestamp,
    names: String,
}

/// The certificate in use; replaced without touching connections.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    current: RwLock<Option<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// Uses this one from the next connection on.
    pub(super) fn install(&self, issued: &Issued) -> anyhow::Result<()> {
        let chain =
            CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?;
        let key = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
            .context("the webhook's certificate and key do not belong together")?;
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::new(key));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// The certificate in the Secret; a new one goes there first if that is missing, old, or for other names.
pub(super) async fn keep(client: &Client, namespace: &str, ip: Option<IpAddr>) -> anyhow::Result<Issued> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let advice = "the chart makes this Secret and lets the operator write it";
    let present = secrets.get(NAME).await;
    let mut present =
        present.with_context(|| format!("cannot read the Secret {namespace}/{NAME}: {advice}"))?;
    let names = names(namespace, ip);
    let now = Timestamp::now();
    if let Some(issued) = read(&present).filter(|issued| is_good(issued, &names, now)) {
        return Ok(issued);
    }
    let issued = issue(&names, now)?;
    present.data.get_or_insert_default().extend(write(&issued));
    // The resource version lets one replica win; the others read what it wrote when they try again.
    secrets.replace(NAME, &PostParams::default(), &present).await.context("cannot keep the certificate")?;
    tracing::info!(until = %issued.until, "made a certificate for the admission webhook");
    Ok(issued)
}

fn names(namespace: &str, ip: Option<IpAddr>) -> Vec<String> {
    let service = [format!("{NAME}.{namespace}.svc"), format!("{NAME}.{namespace}.svc.cluster.local")];
    service.into_iter().chain(ip.map(|ip| ip.to_string())).collect()
}

fn is_good(issued: &Issued, names: &[String], now: Timestamp) -> bool {
    issued.names == names.join(",") && now + (VALID_DAYS.1 * 24).hours() < issued.until
}

fn issue(names: &[String], now: Timestamp) -> anyhow::Result<Issued> {
    let until = now + (VALID_DAYS.0 * 24).hours();
    let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = valid(CertificateParams::new([])?, now, until)?;
    authority.distinguished_name.push(DnType::CommonName, "saker-operator webhook authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = authority.self_signed(&authority_key)?.pem();
    let params = valid(CertificateParams::new(names)?, now, until)?;
    // The authority's key is dropped here: nobody can sign with it again.
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?.pem();
    Ok(Issued { ca, certificate, key: key.serialize_pem(), until, names: names.join(",") })
}

/// Valid from now on, whatever the clocks say.
pub(crate) fn valid(
    mut params: CertificateParams,
    now: Timestamp,
    until: Timestamp,
) -> anyhow::Result<CertificateParams> {
    let date = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok::<_, std::num::TryFromIntError>(rcgen::date_time_ymd(
            i32::from(date.year()),
            date.month().try_into()?,
            date.day().try_into()?,
        ))
    };
    params.not_before = date(now - CLOCK_SKEW_HOURS.hours())?;
    params.not_after = date(until + CLOCK_SKEW_HOURS.hours())?;
    Ok(params)
}

fn write(issued: &Issued) -> std::collections::BTreeMap<String, ByteString> {
    let Issued { ca, certificate, key, until, names } = issued;
    let until = until.to_string();
    let parts =
        [("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key), ("until", &until), ("names", names)];
    parts.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes()))).into()
}

fn read(secret: &Secret) -> Option<Issued> {
    let part = |name: &str| String::from_utf8(secret.data.as_ref()?.get(name)?.0.clone()).ok();
    Some(Issued {
        ca: part("ca.crt")?,
        certificate: part("tls.crt")?,
        key: part("tls.key")?,
        until: part("until")?.parse().ok()?,
        names: part("names")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: i64) -> jiff::Span {
        (count * 24).hours()
    }

    #[test]
    fn a_certificate_survives_the_secret_and_is_renewed_in_time() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now = Timestamp::now();
        let names = names("ns", Some([127, 0, 0, 1].into()));
        let issued = issue(&names, now).unwrap();
        let secret = Secret { data: Some(write(&issued)), ..Secret::default() };
        let read = read(&secret).unwrap();
        assert_eq!(read, issued);
        assert!(is_good(&read, &names, now));
        assert!(!is_good(&read, &names, now + days(VALID_DAYS.0 - VALID_DAYS.1 + 1)), "it ends too soon");
        assert!(!is_good(&read, &super::names("other", None), now), "it is for other names");
        Certificates::default().install(&read).unwrap();
    }

    #[test]
    fn an_empty_or_damaged_secret_holds_no_certificate() {
        assert_eq!(read(&Secret::default()), None);
        let mut data = write(&issue(&names("ns", None), Timestamp::now()).unwrap());
        data.insert("until".to_owned(), ByteString(b"soon".to_vec()));
        assert_eq!(read(&Secret { data: Some(data), ..Secret::default() }), None);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let issue = || issue(&names("ns", None), Timestamp::now()).unwrap();
        let mixed = Issued { key: issue().key, ..issue() };
        let error = Certificates::default().install(&mixed).unwrap_err();
        assert!(format!("{error:#}").contains("do not belong together"), "{error:#}");
    }
}
