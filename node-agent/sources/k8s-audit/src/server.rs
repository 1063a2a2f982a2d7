//! Serves routes over HTTP/1.1 without letting slow or idle connections keep others out.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use warp::{Filter, http::Request, reply::Response};

use crate::counters::{Counters, add};

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Open at once. When that many are, the one that has waited longest for a request is closed.
    pub max: usize,
    /// Time for a request's head to arrive, also counted between the requests of a connection.
    pub head_timeout: Duration,
    /// Time for requests to end at shutdown.
    pub grace: Duration,
}

impl Default for Connections {
    /// API servers send a batch every 30 s at the latest, so that their connections stay open.
    fn default() -> Self {
        Self { max: 64, head_timeout: Duration::from_secs(90), grace: Duration::from_secs(5) }
    }
}

/// Serves `routes` on `listener` until `shutdown` ends; then requests under way get [`Connections::grace`].
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
    let room = Arc::new(Room::new(connections.max, counters));
    loop {
        let place = async {
            let stream = accept(&listener).await;
            (stream, Arc::clone(&room).enter().await)
        };
        let (stream, place) = select! {
            () = &mut shutdown => break,
            place = place => place,
        };
        tokio::spawn(connection(stream, place, routes.clone(), connections.head_timeout, graceful.watcher()));
    }
    drop(listener);
    if timeout(connections.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way after {:?}", connections.grace);
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

async fn connection<F>(
    stream: TcpStream,
    place: Place,
    routes: F,
    head_timeout: Duration,
    graceful: hyper_util::server::graceful::Watcher,
) where
    F: Filter<Extract = (Response,), Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let routes = TowerToHyperService::new(warp::service(routes));
    let place = &place;
    let service = service_fn(|request: Request<Incoming>| {
        place.guest.busy.store(true, Relaxed);
        let response = routes.call(request);
        async {
            let response = response.await;
            place.idle();
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    select! {
        ended = graceful.watch(connection) => if let Err(error) = ended {
            tracing::debug!("connection ended: {error}");
        },
        () = place.guest.leave.notified() => add(Some(&place.room.counters.evicted), 1),
    }
}

/// The places for connections, and who has one, longest idle first.
struct Room {
    free: Arc<Semaphore>,
    guests: Mutex<VecDeque<Arc<Guest>>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Guest {
    busy: AtomicBool,
    leave: Notify,
}

impl Room {
    fn new(places: usize, counters: Arc<Counters>) -> Self {
        let free = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { free, guests: Mutex::default(), counters }
    }

    /// Takes a place; when there is none, the guest that has been idle longest must leave.
    async fn enter(self: Arc<Self>) -> Place {
        if self.free.available_permits() == 0 {
            self.make_room();
        }
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let guest = Arc::new(Guest::default());
        self.guests().push_back(Arc::clone(&guest));
        Place { room: self, guest, _permit: permit }
    }

    fn make_room(&self) {
        let mut guests = self.guests();
        let idle = guests.iter().position(|guest| !guest.busy.load(Relaxed));
        if let Some(guest) = idle.and_then(|at| guests.remove(at)) {
            guest.leave.notify_one();
        }
    }

    fn guests(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, given back when dropped.
struct Place {
    room: Arc<Room>,
    guest: Arc<Guest>,
    /// `None` never happens: the semaphore is not closed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// A request is done; from now on the guest is the one that has been idle for the shortest time.
    fn idle(&self) {
        let mut guests = self.room.guests();
        guests.retain(|guest| !Arc::ptr_eq(guest, &self.guest));
        guests.push_back(Arc::clone(&self.guest));
        self.guest.busy.store(false, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.guests().retain(|guest| !Arc::ptr_eq(guest, &self.guest));
    }
}
