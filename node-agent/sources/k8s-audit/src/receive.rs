//! The route that audit events are posted to.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use saker_events::audit::{AuditEvent, Decoded, Limits, decode};
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};
use warp::{Filter, Reply, http::Method, path::FullPath, reply::Response};

use crate::{
    counters::{Counters, Kind, add},
    dedup::Seen,
    error::{Refusal, name},
};

/// What the route takes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Paths that are served.
    pub paths: Vec<String>,
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of all bodies being worked on at once.
    pub waiting_bytes: usize,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
    /// What one body may hold.
    pub limits: Limits,
    /// Events remembered, so as not to alert twice when a batch comes again.
    pub remembered: usize,
}

impl Default for Config {
    /// Falco's path, of today and of before 2020, and its `webhookMaxBatchSize` (specification §11).
    fn default() -> Self {
        Self {
            paths: vec!["/k8s-audit".into(), "/k8s_audit".into()],
            body_bytes: 12 << 20,
            waiting_bytes: 48 << 20,
            body_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            remembered: 100_000,
        }
    }
}

/// What became of events handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// They will be evaluated, come what may.
    Accepted,
    /// They are dropped; the sender is to try again.
    Overloaded,
}

/// What the sender of a usable body is told.
#[derive(Debug, Serialize)]
struct Receipt {
    accepted: usize,
    duplicates: usize,
    rejected: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasons: String,
}

struct Receiver<H> {
    config: Config,
    counters: Arc<Counters>,
    seen: Seen,
    waiting: Arc<Semaphore>,
    handler: H,
}

/// Serves the paths of `config`; other paths are left to other routes. The sender gets 200 once `handler`
/// accepted the events of its body, so that an event is either taken or sent again.
pub fn routes<H, F>(
    config: Config,
    counters: Arc<Counters>,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static
where
    H: Fn(Vec<AuditEvent>) -> F + Send + Sync + 'static,
    F: Future<Output = Intake> + Send,
{
    let waiting = Arc::new(Semaphore::new(config.waiting_bytes.min(Semaphore::MAX_PERMITS)));
    let seen = Seen::new(config.remembered);
    let receiver = Arc::new(Receiver { config, counters, seen, waiting, handler });
    path(Arc::clone(&receiver))
        .and(warp::method())
        .and(warp::header::optional("content-encoding"))
        .and(warp::header::optional("content-length"))
        .and(warp::body::stream())
        .then(move |method, encoding: Option<String>, length, body| {
            let receiver = Arc::clone(&receiver);
            async move {
                let head = Head { method, encoding: encoding.unwrap_or_default(), length };
                receiver.answer(head, body).await
            }
        })
}

/// Passes for the served paths only.
fn path<H: Send + Sync + 'static>(
    receiver: Arc<Receiver<H>>,
) -> impl Filter<Extract = (), Error = warp::Rejection> + Clone {
    warp::path::full()
        .and_then(move |path: FullPath| {
            let served = receiver.config.paths.iter().any(|p| p == path.as_str());
            std::future::ready(if served { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
}

struct Head {
    method: Method,
    encoding: String,
    length: Option<usize>,
}

impl<H, F> Receiver<H>
where
    H: Fn(Vec<AuditEvent>) -> F + Send + Sync,
    F: Future<Output = Intake> + Send,
{
    async fn answer<B: Buf>(
        &self,
        head: Head,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Response {
        match self.receive(head, body).await {
            Ok(receipt) => {
                self.counters.request(None);
                warp::reply::json(&receipt).into_response()
            }
            Err(refusal) => {
                self.counters.request(Some(&refusal));
                tracing::debug!("audit request refused: {refusal}");
                refusal.into_response()
            }
        }
    }

    async fn receive<B: Buf>(
        &self,
        head: Head,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Receipt, Refusal> {
        self.check(&head)?;
        let slow = |_| Refusal::Slow { seconds: self.config.body_timeout.as_secs() };
        let body = timeout(self.config.body_timeout, self.body(body)).await.map_err(slow)??;
        let decoded = self.decode(body.bytes).await?;
        self.counters.rejected(&decoded.rejected);
        if decoded.events.is_empty() && !decoded.rejected.is_empty() {
            return Err(Refusal::NoEvent(decoded.rejected));
        }
        self.hand_on(decoded).await
    }

    fn check(&self, head: &Head) -> Result<(), Refusal> {
        let limit = self.config.body_bytes;
        if head.method != Method::POST {
            Err(Refusal::Method)
        } else if !matches!(head.encoding.as_str(), "" | "identity") {
            Err(Refusal::Encoding)
        } else if head.length.is_some_and(|length| length > limit) {
            Err(Refusal::TooLarge { limit })
        } else {
            Ok(())
        }
    }

    /// Decoding a large body takes longer than other connections should wait.
    async fn decode(&self, body: Bytes) -> Result<Decoded, Refusal> {
        add(Some(&self.counters.bytes), u64::try_from(body.len()).unwrap_or(u64::MAX));
        let limits = self.config.limits;
        spawn_blocking(move || decode(&body, &limits)).await.map_err(Refusal::Decoder)
    }

    async fn body<B: Buf>(
        &self,
        stream: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Body, Refusal> {
        let limit = self.config.body_bytes;
        let mut stream = std::pin::pin!(stream);
        let (mut bytes, mut held) = (BytesMut::new(), None);
        while let Some(chunk) = stream.try_next().await.map_err(Refusal::Broken)? {
            if bytes.len().saturating_add(chunk.remaining()) > limit {
                return Err(Refusal::TooLarge { limit });
            }
            self.hold(&mut held, chunk.remaining())?;
            bytes.put(chunk);
        }
        Ok(Body { bytes: bytes.freeze(), _held: held })
    }

    /// Reserves room for more bytes of a body.
    fn hold(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::Overloaded)?;
        let more =
            Arc::clone(&self.waiting).try_acquire_many_owned(bytes).map_err(|_| Refusal::Overloaded)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }

    /// Only what an API server sends can come again by itself; who posts an event by hand twice means it.
    async fn hand_on(&self, decoded: Decoded) -> Result<Receipt, Refusal> {
        let Decoded { events, rejected, batch } = decoded;
        let all = events.len();
        let (fresh, hashes) = if batch { self.seen.fresh(events) } else { (events, Vec::new()) };
        let kinds: Vec<Kind> = fresh.iter().map(Kind::of).collect();
        let duplicates = all.saturating_sub(fresh.len());
        if !fresh.is_empty() && (self.handler)(fresh).await == Intake::Overloaded {
            return Err(Refusal::Overloaded);
        }
        self.seen.remember(hashes);
        self.counters.accepted(&kinds);
        add(Some(&self.counters.duplicates), u64::try_from(duplicates).unwrap_or(u64::MAX));
        Ok(Receipt { accepted: kinds.len(), duplicates, rejected: rejected.len(), reasons: name(&rejected) })
    }
}

/// A body, with the room it takes up until it is worked off.
struct Body {
    bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}
