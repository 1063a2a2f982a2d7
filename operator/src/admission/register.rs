//! Tells the API server where the webhook is and what certificate it has.

use std::net::SocketAddr;

use anyhow::Context as _;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{ServiceReference, ValidatingWebhookConfiguration, WebhookClientConfig},
};
use kube::{Api, Client, api::PostParams};

use super::{PATH, certificate::NAME};

/// Writes the registration that the chart made, if it says something else.
pub(super) async fn register(
    client: &Client,
    namespace: &str,
    address: Option<SocketAddr>,
    ca: &str,
) -> anyhow::Result<()> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let present = api.get(NAME).await;
    let mut present = present.with_context(|| {
        format!("cannot read the ValidatingWebhookConfiguration {NAME}: the chart makes it")
    })?;
    let wanted = client_config(namespace, address, ca);
    let mut changed = false;
    for webhook in present.webhooks.iter_mut().flatten().filter(|webhook| webhook.client_config != wanted) {
        webhook.client_config = wanted.clone();
        changed = true;
    }
    if changed {
        api.replace(NAME, &PostParams::default(), &present).await.context("cannot register the webhook")?;
        tracing::info!("registered the admission webhook");
    }
    Ok(())
}

fn client_config(namespace: &str, address: Option<SocketAddr>, ca: &str) -> WebhookClientConfig {
    let service = || ServiceReference {
        name: NAME.to_owned(),
        namespace: namespace.to_owned(),
        path: Some(format!("/{PATH}")),
        port: Some(443),
    };
    WebhookClientConfig {
        ca_bundle: Some(ByteString(ca.as_bytes().to_vec())),
        service: address.is_none().then(service),
        url: address.map(|address| format!("https://{address}/{PATH}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_the_cluster_it_is_a_service_and_outside_an_address() {
        let inside = client_config("ns", None, "ca");
        let service = inside.service.unwrap();
        assert_eq!((service.name.as_str(), service.namespace.as_str(), inside.url), (NAME, "ns", None));
        assert_eq!((service.path.as_deref(), service.port), (Some("/validate"), Some(443)));
        let outside = client_config("ns", Some(([127, 0, 0, 1], 9443).into()), "ca");
        assert_eq!(outside.service, None);
        assert_eq!(outside.url.as_deref(), Some("https://127.0.0.1:9443/validate"));
    }
}
