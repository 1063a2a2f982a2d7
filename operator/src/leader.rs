//! Only one operator writes: the one that holds the Lease. The others wait, and answer the admission webhook meanwhile.
//!
//! Clocks of different nodes are not compared. Whoever wants the Lease watches it for as long as it lasts; only if it
//! did not change in that time is its holder gone. A holder that could not renew in time stops by itself before that.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::watch, time::Instant};

use crate::owner::MANAGER;

/// How long a Lease holds after it was renewed.
const LASTS: Duration = Duration::from_secs(15);
/// How long a holder goes on after its last renewal: less, so that two never write at once.
const TRUSTED: Duration = Duration::from_secs(10);
/// How often it is renewed, and looked at by those who wait.
const RENEW: Duration = Duration::from_secs(3);

/// The right to write.
pub struct Leadership {
    candidate: Arc<Candidate>,
    renewed: watch::Receiver<Instant>,
}

impl Leadership {
    /// Whether it still holds. It does not after the process was frozen, or the API was away, for too long.
    pub fn holds(&self) -> bool {
        self.renewed.borrow().elapsed() < TRUSTED
    }

    /// Returns when it no longer holds.
    pub async fn lost(&self) {
        while self.holds() {
            tokio::time::sleep(RENEW).await;
        }
    }

    /// Lets the next one begin at once; call it when nothing more is written.
    pub async fn release(&self) {
        if let Err(e) = self.candidate.release().await {
            tracing::warn!("cannot give the Lease back, the next operator waits for {LASTS:?}: {e:#}");
        }
    }
}

/// Waits until this process is the one that writes, and keeps it so.
pub async fn lead(
    client: &Client,
    namespace: &str,
    identity: String,
    owner: Option<OwnerReference>,
) -> Leadership {
    let candidate = Candidate {
        api: Api::namespaced(client.clone(), namespace),
        namespace: namespace.to_owned(),
        identity,
        owner,
    };
    let mut seen = None;
    loop {
        let asked = Instant::now();
        match candidate.acquire(&mut seen).await {
            Ok(true) => return Arc::new(candidate).keep(asked),
            Ok(false) => {}
            Err(e) => tracing::warn!("cannot get the Lease {namespace}/{MANAGER}, trying again: {e:#}"),
        }
        tokio::time::sleep(RENEW).await;
    }
}

struct Candidate {
    api: Api<Lease>,
    namespace: String,
    identity: String,
    owner: Option<OwnerReference>,
}

/// The Lease as it was when it was first seen so.
struct Seen {
    version: Option<String>,
    holder: Option<String>,
    since: Instant,
}

impl Candidate {
    /// Takes the Lease if it is free, or its holder gone.
    async fn acquire(&self, seen: &mut Option<Seen>) -> anyhow::Result<bool> {
        let Some(present) = self.api.get_opt(MANAGER).await.context("reading it failed")? else {
            return self.write(None).await;
        };
        let version = present.resource_version();
        let since = match seen {
            Some(before) if before.version == version => before.since,
            _ => {
                let holder = holder(&present).map(str::to_owned);
                if seen.as_ref().is_none_or(|before| before.holder != holder) {
                    tracing::info!(holder = holder.as_deref().unwrap_or("nobody"), "waiting for the Lease");
                }
                *seen = Some(Seen { version, holder, since: Instant::now() });
                Instant::now()
            }
        };
        let free = holder(&present).is_none_or(|holder| holder == self.identity) || since.elapsed() > LASTS;
        if free { self.write(Some(present)).await } else { Ok(false) }
    }

    /// Whether it was written. Whoever wrote first wins: the API server refuses an old version.
    async fn write(&self, present: Option<Lease>) -> anyhow::Result<bool> {
        let wanted = self.lease(present.as_ref());
        let written = match present {
            Some(_) => self.api.replace(MANAGER, &PostParams::default(), &wanted).await,
            None => self.api.create(&PostParams::default(), &wanted).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(e) => Err(e).context("writing it failed"),
        }
    }

    fn lease(&self, present: Option<&Lease>) -> Lease {
        let now = Timestamp::now();
        let old = present.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = old.holder_identity.as_ref() == Some(&self.identity);
        let changes = old.lease_transitions.unwrap_or(0) + i32::from(!ours && present.is_some());
        let metadata = ObjectMeta {
            name: Some(MANAGER.to_owned()),
            namespace: Some(self.namespace.clone()),
            resource_version: present.and_then(kube::ResourceExt::resource_version),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec {
            acquire_time: old.acquire_time.filter(|_| ours).or(Some(MicroTime(now))),
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            lease_transitions: Some(changes),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Renews until another one has it or nobody cares any more. Time counts from before each request.
    fn keep(self: Arc<Self>, acquired: Instant) -> Leadership {
        tracing::info!(identity = self.identity, "holding the Lease");
        let (renewed, receiver) = watch::channel(acquired);
        let leadership = Leadership { candidate: Arc::clone(&self), renewed: receiver };
        tokio::spawn(async move {
            while !renewed.is_closed() {
                tokio::time::sleep(RENEW).await;
                let asked = Instant::now();
                match self.renew().await {
                    Ok(()) => {
                        renewed.send_replace(asked);
                    }
                    Err(e) => tracing::warn!("cannot renew the Lease: {e:#}"),
                }
            }
        });
        leadership
    }

    async fn release(&self) -> anyhow::Result<()> {
        let mut present = self.own().await?;
        if let Some(spec) = &mut present.spec {
            spec.holder_identity = None;
        }
        self.api.replace(MANAGER, &PostParams::default(), &present).await.context("writing it failed")?;
        Ok(())
    }

    /// The Lease, if it is ours.
    async fn own(&self) -> anyhow::Result<Lease> {
        let present = self.api.get(MANAGER).await.context("reading it failed")?;
        if holder(&present) != Some(&self.identity) {
            bail!("{} holds it now", holder(&present).unwrap_or("nobody"));
        }
        Ok(present)
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let present = self.own().await?;
        if self.write(Some(present)).await? { Ok(()) } else { bail!("another one wrote it") }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kube::client::Body;
    use warp::http::{Method, Request, Response};

    use super::*;

    /// An API server with one Lease.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<Option<Lease>>>);

    fn status(code: u16, reason: &str) -> Vec<u8> {
        let status =
            serde_json::json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason});
        status.to_string().into_bytes()
    }

    impl Server {
        fn answer(&self, method: &Method, body: &[u8]) -> (u16, Vec<u8>) {
            let mut lease = self.0.lock().unwrap();
            if method != Method::GET {
                let mut wanted: Lease = serde_json::from_slice(body).unwrap();
                let version = lease.as_ref().and_then(kube::ResourceExt::resource_version);
                if wanted.resource_version() != version {
                    return (409, status(409, "Conflict"));
                }
                let next = version.map_or(1, |version| version.parse::<u32>().unwrap() + 1);
                wanted.metadata.resource_version = Some(next.to_string());
                *lease = Some(wanted);
            }
            match &*lease {
                Some(lease) => (200, serde_json::to_vec(lease).unwrap()),
                None => (404, status(404, "NotFound")),
            }
        }

        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let server = server.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let (status, answer) = server.answer(&parts.method, &body.collect_bytes().await?);
                    let response =
                        Response::builder().status(status).header("content-type", "application/json");
                    Ok::<_, kube::Error>(response.body(Body::from(answer)).unwrap())
                }
            });
            Client::new(service, "ns")
        }

        fn spec(&self) -> LeaseSpec {
            self.0.lock().unwrap().clone().unwrap().spec.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_until_the_first_is_gone() {
        let server = Server::default();
        let first = lead(&server.client(), "ns", "first".to_owned(), None).await;
        let client = server.client();
        let second = tokio::spawn(async move { lead(&client, "ns", "second".to_owned(), None).await });
        tokio::time::sleep(LASTS * 4).await;
        assert!(first.holds() && !second.is_finished(), "it is renewed");
        assert_eq!(server.spec().holder_identity.as_deref(), Some("first"));
        drop(first);
        let second = second.await.unwrap();
        assert!(second.holds());
        let spec = server.spec();
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("second"), Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_cannot_renew_stops_before_the_next_begins() {
        let server = Server::default();
        let first = lead(&server.client(), "ns", "first".to_owned(), None).await;
        // Somebody else wrote it: every renewal of the first is refused from now on.
        server.0.lock().unwrap().as_mut().unwrap().spec.as_mut().unwrap().holder_identity =
            Some("x".to_owned());
        let start = Instant::now();
        first.lost().await;
        assert!(start.elapsed() < LASTS && !first.holds());
    }

    /// The dead holder's clock ran a day ahead, or a day behind: only whether the Lease changes counts.
    #[tokio::test(start_paused = true)]
    async fn clocks_are_not_compared() {
        for skew in [jiff::SignedDuration::from_hours(24), jiff::SignedDuration::from_hours(-24)] {
            let server = Server::default();
            drop(lead(&server.client(), "ns", "first".to_owned(), None).await);
            let renewed = Some(MicroTime(Timestamp::now() + skew));
            server.0.lock().unwrap().as_mut().unwrap().spec.as_mut().unwrap().renew_time = renewed;
            let start = Instant::now();
            assert!(lead(&server.client(), "ns", "second".to_owned(), None).await.holds());
            assert!(
                start.elapsed() > LASTS && start.elapsed() < LASTS * 2,
                "{skew:?}: {:?}",
                start.elapsed()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_begins_at_once_when_the_lease_is_given_back() {
        let server = Server::default();
        lead(&server.client(), "ns", "first".to_owned(), None).await.release().await;
        let start = Instant::now();
        assert!(lead(&server.client(), "ns", "second".to_owned(), None).await.holds());
        assert!(start.elapsed() < RENEW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_starts_again_goes_on_at_once() {
        let server = Server::default();
        drop(lead(&server.client(), "ns", "same".to_owned(), None).await);
        let start = Instant::now();
        assert!(lead(&server.client(), "ns", "same".to_owned(), None).await.holds());
        assert!(start.elapsed() < RENEW);
        assert_eq!(server.spec().lease_transitions, Some(0));
    }
}
