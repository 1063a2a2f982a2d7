//! The token by which agents know the operator. It is made here and kept in the operator's Secret; the agents get its
//! hash with the bundle's manifest, which they watch anyway. So they need no right beside reading ConfigMaps, above
//! all none to create TokenReviews, and nothing secret lies on a node.

use std::fmt::Write as _;

use anyhow::Context as _;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use saker_crds::bundle::sha256;

/// The Secret, made by the chart.
const NAME: &str = "saker-operator";
/// The key in it.
const KEY: &str = "agent-token";
/// Bytes of randomness.
const LENGTH: usize = 32;

/// The token and what may be known of it.
#[derive(Clone)]
pub struct Token {
    /// Shown to agents.
    pub secret: String,
    /// Published.
    pub sha256: String,
}

impl Token {
    fn new(secret: String) -> Self {
        Self { sha256: sha256(secret.as_bytes()), secret }
    }
}

/// The token in the Secret; a new one goes there first if there is none.
pub async fn keep(client: &Client, namespace: &str) -> anyhow::Result<Token> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let present = secrets.get(NAME).await;
    let mut present =
        present.with_context(|| format!("cannot read the Secret {namespace}/{NAME}: the chart makes it"))?;
    if let Some(token) = read(&present) {
        return Ok(token);
    }
    let token = Token::new(random()?);
    present
        .data
        .get_or_insert_default()
        .insert(KEY.to_owned(), ByteString(token.secret.clone().into_bytes()));
    match secrets.replace(NAME, &PostParams::default(), &present).await {
        Ok(_) => Ok(token),
        // Another replica was faster: its token counts.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let won = secrets.get(NAME).await.context("cannot read the token again")?;
            read(&won).context("another operator changed the Secret and left no token: start again")
        }
        Err(e) => Err(e).context("cannot keep the token for the agents"),
    }
}

fn read(secret: &Secret) -> Option<Token> {
    let text = String::from_utf8(secret.data.as_ref()?.get(KEY)?.0.clone()).ok()?;
    (text.len() >= LENGTH).then(|| Token::new(text))
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; LENGTH];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).ok().context("the system gives no random numbers")?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        let data = [(KEY.to_owned(), ByteString(text.as_bytes().to_vec()))].into();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_token_survives_the_secret_and_a_poor_one_does_not_count() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_ne!(one, two);
        let token = read(&secret(&one)).unwrap();
        assert_eq!((token.secret.as_str(), token.sha256), (one.as_str(), sha256(one.as_bytes())));
        assert!(read(&secret("guess me")).is_none());
        assert!(read(&Secret::default()).is_none());
    }
}
