//! The certificates of the audit webhook: made by the operator itself, kept in Secrets, renewed in time.
//!
//! An API server reads its kubeconfig at its start alone. So one authority lasts for long, and the agents' certificate,
//! which is renewed each year, goes on to be trusted without a restart.

use anyhow::Context as _;
use jiff::{Timestamp, ToSpan as _};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use saker_audit_setup::{Endpoint, order::KUBECONFIG};

use crate::admission::valid;

/// The Secret that holds the authority's key: for the operator alone.
const AUTHORITY: &str = "saker-audit-authority";
/// The Secret that the agents mount.
const SERVER: &str = "saker-audit-server";
/// The Secret with the kubeconfig of the API servers.
const CLIENT: &str = "saker-audit-client";
/// Days that each is valid.
const AUTHORITY_DAYS: i64 = 20 * 365;
const SERVER_DAYS: i64 = 365;
const CLIENT_DAYS: i64 = 5 * 365;
/// Days before its end when it is renewed.
const RENEW_DAYS: i64 = 60;

/// What API servers are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) kubeconfig: String,
    /// When the certificate in it ends.
    pub(super) until: Timestamp,
}

impl Issued {
    /// Never so for one that was just made: it is renewed before. But an API server may still have the one before.
    pub(super) fn ends_soon(&self, now: Timestamp) -> bool {
        !is_good(self.until, now)
    }
}

/// The command that prints the kubeconfig.
pub(super) fn print_command(namespace: &str) -> String {
    format!(
        "kubectl -n {namespace} get secret {CLIENT} -o go-template='{{{{index .data \"{KUBECONFIG}\" | base64decode}}}}'"
    )
}

/// Makes what is missing or ends soon.
pub(super) async fn keep(client: &Client, namespace: &str, endpoint: &str) -> anyhow::Result<Issued> {
    let secrets = Secrets { api: Api::namespaced(client.clone(), namespace), namespace };
    let now = Timestamp::now();
    let authority = secrets.keep(AUTHORITY, |_| true, || Authority::make(now)).await?;
    let authority =
        Authority::read(&authority).context("the Secret of the authority is damaged: empty it")?;
    let same_authority = |parts: &Parts| parts.text("ca.crt") == Some(authority.certificate.clone());
    let names = names(endpoint);
    let same =
        |parts: &Parts| same_authority(parts) && parts.text("names").as_deref() == Some(&names.join(","));
    secrets.keep(SERVER, same, || authority.server(&names, now)).await?;
    let same = |parts: &Parts| same_authority(parts) && parts.text("endpoint").as_deref() == Some(endpoint);
    let client = secrets.keep(CLIENT, same, || authority.client(endpoint, now)).await?;
    let kubeconfig = client.text(KUBECONFIG).context("the Secret of the kubeconfig is damaged: empty it")?;
    Ok(Issued { kubeconfig, until: client.until().unwrap_or(now) })
}

/// What the agents are called: where the endpoint is, and each by itself.
fn names(endpoint: &str) -> Vec<String> {
    let host = reqwest::Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    // Brackets belong to addresses in URLs alone.
    let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
    let own = ["127.0.0.1", "localhost"].map(str::to_owned);
    let other = host.filter(|host| !own.contains(host));
    own.into_iter().chain(other).collect()
}

fn is_good(until: Timestamp, now: Timestamp) -> bool {
    now + (RENEW_DAYS * 24).hours() < until
}

/// The data of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Parts(std::collections::BTreeMap<String, ByteString>);

impl Parts {
    fn of<const N: usize>(parts: [(&str, String); N], until: Timestamp) -> Self {
        let until = ("until", until.to_string());
        let all = parts.into_iter().chain([until]);
        Self(all.map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes()))).collect())
    }

    fn text(&self, name: &str) -> Option<String> {
        String::from_utf8(self.0.get(name)?.0.clone()).ok()
    }

    fn until(&self) -> Option<Timestamp> {
        self.text("until")?.parse().ok()
    }
}

struct Secrets<'a> {
    api: Api<Secret>,
    namespace: &'a str,
}

impl Secrets<'_> {
    /// What the Secret holds; something new if it holds nothing, something else, or something that ends soon.
    async fn keep(
        &self,
        name: &str,
        is_wanted: impl Fn(&Parts) -> bool,
        make: impl FnOnce() -> anyhow::Result<Parts>,
    ) -> anyhow::Result<Parts> {
        let namespace = self.namespace;
        let missing =
            || format!("cannot read the Secret {namespace}/{name}: the chart makes it (auditSink.enabled)");
        let mut secret = self.api.get(name).await.with_context(missing)?;
        let parts = Parts(secret.data.clone().unwrap_or_default());
        if parts.until().is_some_and(|until| is_good(until, Timestamp::now())) && is_wanted(&parts) {
            return Ok(parts);
        }
        let parts = make()?;
        secret.data = Some(parts.0.clone());
        // The resource version lets nobody overwrite what another operator just made.
        self.api
            .replace(name, &PostParams::default(), &secret)
            .await
            .with_context(|| format!("cannot keep {name}"))?;
        tracing::info!(secret = name, "made a certificate for audit events");
        Ok(parts)
    }
}

struct Authority {
    certificate: String,
    key: KeyPair,
}

impl Authority {
    fn make(now: Timestamp) -> anyhow::Result<Parts> {
        let until = now + (AUTHORITY_DAYS * 24).hours();
        let key = KeyPair::generate()?;
        let certificate = valid(Self::params()?, now, until)?.self_signed(&key)?.pem();
        Ok(Parts::of([("ca.crt", certificate), ("ca.key", key.serialize_pem())], until))
    }

    fn read(parts: &Parts) -> Option<Self> {
        let key = KeyPair::from_pem(&parts.text("ca.key")?).ok()?;
        Some(Self { certificate: parts.text("ca.crt")?, key })
    }

    fn params() -> anyhow::Result<CertificateParams> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(DnType::CommonName, "saker audit authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(params)
    }

    /// For the agents.
    fn server(&self, names: &[String], now: Timestamp) -> anyhow::Result<Parts> {
        let until = now + (SERVER_DAYS * 24).hours();
        let (certificate, key) = self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, now, until)?;
        let ca = self.certificate.clone();
        let parts = [("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key), ("names", names.join(","))];
        Ok(Parts::of(parts, until))
    }

    /// For the API servers.
    fn client(&self, endpoint: &str, now: Timestamp) -> anyhow::Result<Parts> {
        let until = now + (CLIENT_DAYS * 24).hours();
        let (certificate, key) = self.sign(&[], ExtendedKeyUsagePurpose::ClientAuth, now, until)?;
        let endpoint = Endpoint {
            url: endpoint.to_owned(),
            ca: Some(self.certificate.clone().into_bytes()),
            client: Some((certificate.into_bytes(), key.into_bytes())),
        };
        let (kubeconfig, url) = (endpoint.kubeconfig(), endpoint.url);
        Ok(Parts::of(
            [("ca.crt", self.certificate.clone()), (KUBECONFIG, kubeconfig), ("endpoint", url)],
            until,
        ))
    }

    fn sign(
        &self,
        names: &[String],
        usage: ExtendedKeyUsagePurpose,
        now: Timestamp,
        until: Timestamp,
    ) -> anyhow::Result<(String, String)> {
        let mut params = valid(CertificateParams::new(names)?, now, until)?;
        params.distinguished_name.push(DnType::CommonName, "saker audit events");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &Issuer::new(Self::params()?, &self.key))?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_made_of_one_authority_and_renewed_in_time() {
        let now = Timestamp::now();
        let made = Authority::make(now).unwrap();
        let authority = Authority::read(&made).unwrap();
        let server = authority.server(&names("https://10.96.0.7:8766/k8s-audit"), now).unwrap();
        let client = authority.client("https://127.0.0.1:8766/k8s-audit", now).unwrap();
        for parts in [&server, &client] {
            assert_eq!(parts.text("ca.crt"), made.text("ca.crt"));
        }
        let later = now + (300 * 24).hours();
        let good = |parts: &Parts, at| is_good(parts.until().unwrap(), at);
        assert!(good(&server, now) && !good(&server, later + (10 * 24).hours()));
        assert!(good(&client, later) && good(&made, later));
        assert!(client.text(KUBECONFIG).unwrap().contains("https://127.0.0.1:8766/k8s-audit"));
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        assert!(Authority::read(&Parts::default()).is_none());
        let broken = Parts::of([("ca.crt", "a".to_owned()), ("ca.key", "b".to_owned())], Timestamp::now());
        assert!(Authority::read(&broken).is_none());
    }

    #[test]
    fn the_agents_are_called_what_the_endpoint_says() {
        assert_eq!(names("https://127.0.0.1:8766/k8s-audit"), ["127.0.0.1", "localhost"]);
        assert_eq!(names("https://[fd00::7]:8766/k8s-audit"), ["127.0.0.1", "localhost", "fd00::7"]);
    }

    #[test]
    fn the_command_prints_a_key_of_the_secret() {
        let command = print_command("ns");
        assert!(
            command
                .ends_with(r#"-o go-template='{{index .data "audit-webhook.kubeconfig" | base64decode}}'"#),
            "{command}"
        );
    }
}
