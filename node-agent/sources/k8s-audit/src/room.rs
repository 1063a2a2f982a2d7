//! The places for connections, and who must leave when there is none.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Who has a place, longest idle first.
pub(crate) struct Room {
    free: Arc<Semaphore>,
    guests: Mutex<VecDeque<Arc<Guest>>>,
}

/// One connection, as its requests see it.
#[derive(Default)]
pub(crate) struct Guest {
    /// A whole request is there and being worked on. Who is still sending can be sent away: a sender that
    /// dribbles must not hold a place.
    pub(crate) busy: AtomicBool,
    /// It has brought audit events, so that strangers leave first.
    pub(crate) known: AtomicBool,
    /// It has shown a good certificate.
    pub(crate) certified: AtomicBool,
    /// Told when it must leave.
    pub(crate) leave: Notify,
}

impl Room {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))),
            guests: Mutex::default(),
        }
    }

    /// Takes a place; when there is none, a guest must leave.
    pub(crate) async fn enter(self: Arc<Self>) -> Place {
        if self.free.available_permits() == 0 {
            self.make_room();
        }
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let guest = Arc::new(Guest::default());
        self.guests().push_back(Arc::clone(&guest));
        Place { room: self, guest, _permit: permit }
    }

    /// Sends away the stranger that came first, or else the known guest that has been idle longest.
    fn make_room(&self) {
        let mut guests = self.guests();
        let idle = |guest: &Arc<Guest>| !guest.busy.load(Relaxed);
        let stranger = guests.iter().position(|guest| idle(guest) && !guest.known.load(Relaxed));
        let leaves = stranger.or_else(|| guests.iter().position(idle));
        if let Some(guest) = leaves.and_then(|at| guests.remove(at)) {
            guest.leave.notify_one();
        }
    }

    fn guests(&self) -> MutexGuard<'_, VecDeque<Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, given back when dropped.
pub(crate) struct Place {
    room: Arc<Room>,
    pub(crate) guest: Arc<Guest>,
    /// `None` never happens: the semaphore is not closed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// A request is done; from now on the guest is the one that has been idle for the shortest time.
    pub(crate) fn idle(&self) {
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
