//! The route that audit events are posted to.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Buf;
use futures::{Stream, TryStreamExt};
use saker_events::audit::{AuditEvent, Decoded, Limits, Rejection, decode_from};
use serde::Serialize;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use warp::{
    Filter, Reply,
    http::{HeaderMap, Method, header},
    path::FullPath,
    reply::Response,
};

use crate::{
    access::Access,
    body::Body,
    counters::{Counters, Kind, add},
    dedup::{Claim, Seen},
    error::{Refusal, name},
    room::Guest,
};

/// What the route takes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Paths that are served.
    pub paths: Vec<String>,
    /// Bytes of one body, unpacked.
    pub body_bytes: usize,
    /// Bytes of all bodies being worked on at once, packed and unpacked.
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
    /// They are evaluated, and their alerts wait in the queues of the outputs.
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
    access: Access,
    counters: Arc<Counters>,
    seen: Arc<Seen>,
    waiting: Arc<Semaphore>,
    handler: H,
}

/// Serves the paths of `config`; other paths are left to other routes. The sender gets 200 once `handler`
/// accepted the events of its body, so that an event is either taken or sent again.
pub fn routes<H, F>(
    config: Config,
    access: Access,
    counters: Arc<Counters>,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static
where
    H: Fn(Vec<AuditEvent>) -> F + Send + Sync + 'static,
    F: Future<Output = Intake> + Send + 'static,
{
    let waiting = Arc::new(Semaphore::new(config.waiting_bytes.min(Semaphore::MAX_PERMITS)));
    let seen = Seen::new(config.remembered);
    let receiver = Arc::new(Receiver { config, access, counters, seen, waiting, handler });
    path(Arc::clone(&receiver))
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional())
        .and(warp::body::stream())
        .then(move |method, headers, guest: Option<Arc<Guest>>, body| {
            let receiver = Arc::clone(&receiver);
            let head = Head { method, headers, guest: guest.unwrap_or_default() };
            async move { receiver.answer(head, body).await }
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
    headers: HeaderMap,
    guest: Arc<Guest>,
}

impl Head {
    fn text(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the body is packed, if its encoding is known.
    fn gzip(&self) -> Option<bool> {
        match self.text(header::CONTENT_ENCODING).to_ascii_lowercase().as_str() {
            "" | "identity" => Some(false),
            "gzip" | "x-gzip" => Some(true),
            _ => None,
        }
    }
}

impl<H, F> Receiver<H>
where
    H: Fn(Vec<AuditEvent>) -> F + Send + Sync + 'static,
    F: Future<Output = Intake> + Send + 'static,
{
    async fn answer<B: Buf>(
        self: Arc<Self>,
        head: Head,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Response {
        let counters = Arc::clone(&self.counters);
        match self.receive(&head, body).await {
            Ok(receipt) => {
                counters.request(None);
                head.guest.known.store(true, Relaxed);
                warp::reply::json(&receipt).into_response()
            }
            Err(refusal) => {
                counters.request(Some(&refusal));
                tracing::debug!("audit request refused: {refusal}");
                refusal.into_response()
            }
        }
    }

    async fn receive<B: Buf>(
        self: Arc<Self>,
        head: &Head,
        stream: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Receipt, Refusal> {
        let gzip = self.check(head)?;
        let mut body = Body::new(self.config.body_bytes, Arc::clone(&self.waiting));
        let slow = |_| Refusal::Slow { seconds: self.config.body_timeout.as_secs() };
        timeout(self.config.body_timeout, fill(&mut body, stream)).await.map_err(slow)??;
        head.guest.busy.store(true, Relaxed);
        // A task of its own: what has come whole is worked off, even if the sender hangs up meanwhile.
        tokio::spawn(self.work_off(body, gzip)).await.map_err(Refusal::Task)?
    }

    /// Whether the body is packed, or why it is not even read.
    fn check(&self, head: &Head) -> Result<bool, Refusal> {
        let limit = self.config.body_bytes;
        let length = head.text(header::CONTENT_LENGTH).parse::<usize>();
        let authorization = head.headers.get(header::AUTHORIZATION);
        if head.method != Method::POST {
            Err(Refusal::Method)
        } else if !self.access.allows(head.guest.certified.load(Relaxed), authorization) {
            Err(Refusal::Unauthorized)
        } else if length.is_ok_and(|length| length > limit) {
            Err(Refusal::TooLarge { limit })
        } else {
            head.gzip().ok_or(Refusal::Encoding)
        }
    }

    /// Has all events of a body evaluated, in parts that fit into memory.
    async fn work_off(self: Arc<Self>, mut body: Body, gzip: bool) -> Result<Receipt, Refusal> {
        if gzip {
            body = blocking(move || body.unpack().map(|()| body)).await?;
        }
        add(Some(&self.counters.bytes), u64::try_from(body.bytes().len()).unwrap_or(u64::MAX));
        let (mut total, mut skip) = (Total::default(), Some(0));
        while let Some(behind) = skip {
            let limits = self.config.limits;
            let read = move || Ok((decode_from(body.bytes(), &limits, behind), body));
            let (decoded, whole) = blocking(read).await?;
            (body, skip) = (whole, decoded.next);
            self.counters.rejected(&decoded.rejected);
            self.hand_on(decoded, &mut total).await?;
        }
        total.receipt()
    }

    /// Only what an API server sends can come again by itself; who posts an event by hand twice means it.
    async fn hand_on(&self, decoded: Decoded, total: &mut Total) -> Result<(), Refusal> {
        let Decoded { events, rejected, batch, .. } = decoded;
        let all = events.len();
        let (fresh, claim) = if batch {
            let (fresh, claim) = self.seen.claim(events).map_err(|_| Refusal::Overloaded)?;
            (fresh, Some(claim))
        } else {
            (events, None)
        };
        let kinds: Vec<Kind> = fresh.iter().map(Kind::of).collect();
        let duplicates = all.saturating_sub(fresh.len());
        if !fresh.is_empty() && (self.handler)(fresh).await == Intake::Overloaded {
            return Err(Refusal::Overloaded);
        }
        claim.into_iter().for_each(Claim::accept);
        self.counters.accepted(&kinds);
        add(Some(&self.counters.duplicates), u64::try_from(duplicates).unwrap_or(u64::MAX));
        total.accepted = total.accepted.saturating_add(kinds.len());
        total.duplicates = total.duplicates.saturating_add(duplicates);
        total.rejected.extend(rejected);
        Ok(())
    }
}

/// What became of a body's items.
#[derive(Default)]
struct Total {
    accepted: usize,
    duplicates: usize,
    rejected: Vec<Rejection>,
}

impl Total {
    fn receipt(self) -> Result<Receipt, Refusal> {
        let Self { accepted, duplicates, rejected } = self;
        if accepted == 0 && duplicates == 0 && !rejected.is_empty() {
            return Err(Refusal::NoEvent(rejected));
        }
        Ok(Receipt { accepted, duplicates, rejected: rejected.len(), reasons: name(&rejected) })
    }
}

/// Work on a large body takes longer than other connections should wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(Refusal::Task)?
}

async fn fill<B: Buf>(
    body: &mut Body,
    stream: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<(), Refusal> {
    let mut stream = std::pin::pin!(stream);
    while let Some(mut chunk) = stream.try_next().await.map_err(Refusal::Broken)? {
        while chunk.has_remaining() {
            let read = body.add(chunk.chunk())?;
            chunk.advance(read);
        }
    }
    Ok(())
}
