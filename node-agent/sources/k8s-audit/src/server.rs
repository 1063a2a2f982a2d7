//! Serves routes over HTTP/1.1, with TLS or without, and lets no slow or idle connection keep others out.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    select,
    time::{sleep, timeout},
};
use warp::{Filter, http::Request, reply::Response};

use crate::{
    counters::{Counters, add},
    room::{Place, Room},
    tls::Tls,
};

/// Connections that the kernel keeps until they are accepted; a burst must not end in repeated SYNs.
const BACKLOG: u32 = 1024;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// Listens at an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How connections are served.
#[derive(Default)]
pub struct Connections {
    /// Their TLS; plain HTTP without.
    pub tls: Option<Tls>,
    /// Their bounds.
    pub bounds: Bounds,
}

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Open at once. When that many are, one that is still sending or waits for a request is closed: the
    /// oldest that has brought no events, or else the one that has been idle longest.
    pub max: usize,
    /// Time for a request's head to arrive, also counted between the requests of a connection.
    pub head_timeout: Duration,
    /// Time for requests to end at shutdown.
    pub grace: Duration,
}

impl Default for Bounds {
    /// API servers send a batch every 30 s at the latest, so that their connections stay open.
    fn default() -> Self {
        Self { max: 256, head_timeout: Duration::from_secs(90), grace: Duration::from_secs(5) }
    }
}

/// What every connection needs.
struct Shared<F> {
    routes: F,
    connections: Connections,
    counters: Arc<Counters>,
}

/// Where a request comes from, among its extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub Option<SocketAddr>);

/// Serves `routes` on `listener` until `shutdown` ends; then requests under way get [`Bounds::grace`].
pub async fn serve<F>(
    listener: TcpListener,
    routes: F,
    connections: Connections,
    counters: Arc<Counters>,
    shutdown: impl Future<Output = ()> + Send,
) where
    F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let mut shutdown = std::pin::pin!(shutdown);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Room::new(connections.bounds.max));
    let grace = connections.bounds.grace;
    let shared = Arc::new(Shared { routes, connections, counters });
    loop {
        let place = async {
            let stream = accept(&listener).await;
            (stream, Arc::clone(&room).enter().await)
        };
        let (stream, place) = select! {
            () = &mut shutdown => break,
            place = place => place,
        };
        tokio::spawn(Arc::clone(&shared).connection(stream, place, graceful.watcher()));
    }
    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way after {grace:?}");
    }
}

/// The next connection. Errors here are of that connection, or of limits that others must free.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl<F> Shared<F>
where
    F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    /// Until the connection ends or must make room.
    async fn connection(self: Arc<Self>, stream: TcpStream, place: Place, graceful: Watcher) {
        let peer = Peer(stream.peer_addr().ok());
        let talk = async {
            let Some(tls) = &self.connections.tls else {
                return self.talk(stream, peer, &place, graceful).await;
            };
            let Some(stream) = tls.accept(stream, &self.counters).await else { return };
            let certified = stream.get_ref().1.peer_certificates().is_some();
            place.guest.certified.store(certified, Relaxed);
            self.talk(stream, peer, &place, graceful).await;
        };
        select! {
            () = talk => (),
            () = place.guest.leave.notified() => add(Some(&self.counters.evicted), 1),
        }
    }

    async fn talk<S>(&self, stream: S, peer: Peer, place: &Place, graceful: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = TowerToHyperService::new(warp::service(self.routes.clone()));
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&place.guest));
            request.extensions_mut().insert(peer);
            let response = routes.call(request);
            async {
                let response = response.await;
                place.idle();
                response
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.connections.bounds.head_timeout)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = graceful.watch(connection).await {
            add(Some(&self.counters.heads_timed_out), u64::from(error.is_timeout()));
            tracing::debug!("connection ended: {error}");
        }
    }
}
