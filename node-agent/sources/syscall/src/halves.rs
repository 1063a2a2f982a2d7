//! Requests of io_uring come as two records, one when they are made and one when they end; here they become one event.
//! Both have one parameter more than the event, the number of the request.

use std::collections::{BTreeMap, HashMap};

use saker_events::{Event, Origin, write};

use crate::record::{Half, Record};

/// Requests that wait for their end; when there are more, the oldest is told as it is.
const MOST: usize = 1024;

/// An event whose parameters are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    ts: u64,
    tid: i64,
    cpu: u16,
    code: u16,
    origin: Option<Origin>,
    params: Vec<Vec<u8>>,
}

/// The first halves, in the order of their coming.
#[derive(Debug, Default)]
pub(crate) struct Halves {
    waiting: BTreeMap<u64, Waiting>,
    /// Places in `waiting` by number of the request.
    places: HashMap<u64, u64>,
    next: u64,
    ticks: u64,
}

#[derive(Debug)]
struct Waiting {
    request: u64,
    event: Joined,
    /// The tick after which it is told as it is: its success has no second half.
    until: Option<u64>,
}

impl Halves {
    /// Takes a half. Gives the event that is whole now, or has to go.
    pub(crate) fn take(&mut self, record: &Record<'_>, half: Half) -> Option<Joined> {
        let (event, request) = Joined::split(&record.event)?;
        match half {
            Half::First { alone } => self.begin(request, event, alone),
            Half::Last => Some(self.remove(request)?.with(event)),
        }
    }

    fn begin(&mut self, request: u64, event: Joined, alone: bool) -> Option<Joined> {
        // The kernel uses the memory of a request again: of what was there before, nobody saw the end.
        let before = self.remove(request);
        let oldest = if self.waiting.len() < MOST { None } else { self.waiting.pop_first() };
        let until = alone.then_some(self.ticks.saturating_add(1));
        self.next = self.next.saturating_add(1);
        self.places.insert(request, self.next);
        self.waiting.insert(self.next, Waiting { request, event, until });
        let oldest = oldest.map(|(_, waiting)| {
            self.places.remove(&waiting.request);
            waiting.event
        });
        before.or(oldest)
    }

    fn remove(&mut self, request: u64) -> Option<Joined> {
        Some(self.waiting.remove(&self.places.remove(&request)?)?.event)
    }

    /// Once a second. Gives what has succeeded, as no failure was told.
    pub(crate) fn tick(&mut self) -> Vec<Joined> {
        self.ticks = self.ticks.saturating_add(1);
        let ticks = self.ticks;
        let due = |waiting: &Waiting| waiting.until.is_some_and(|until| until < ticks);
        let due: Vec<u64> = self.waiting.values().filter(|w| due(w)).map(|w| w.request).collect();
        due.into_iter().filter_map(|request| Some(self.remove(request)?.succeeded())).collect()
    }
}

impl Joined {
    /// The event and the number of the request.
    fn split(event: &Event<'_>) -> Option<(Self, u64)> {
        let last = event.param_count().checked_sub(1)?;
        let request = u64::from_le_bytes(event.param(last)?.try_into().ok()?);
        let params = (0..last).map(|at| event.param(at).unwrap_or_default().to_vec()).collect();
        let Event { ts, tid, cpu, code, origin, .. } = *event;
        Some((Self { ts, tid, cpu, code, origin, params }, request))
    }

    /// With what the second half knows; whose event it is the first one says.
    fn with(mut self, last: Self) -> Self {
        self.ts = last.ts;
        for (param, later) in self.params.iter_mut().zip(last.params) {
            if !later.is_empty() {
                *param = later;
            }
        }
        self
    }

    /// The first parameter of every such event is the result.
    fn succeeded(mut self) -> Self {
        self.params.first_mut().into_iter().flatten().for_each(|byte| *byte = 0);
        self
    }

    /// The bytes of the event.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        write::event(self.ts, self.tid, self.code, &self.params)
    }

    /// The event in these bytes, with what they do not have.
    pub(crate) fn event<'a>(&self, bytes: &'a [u8]) -> Option<Event<'a>> {
        let mut event = Event::parse(bytes).ok()?;
        (event.cpu, event.origin) = (self.cpu, self.origin);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use crate::record::{PREFIX_BYTES, Prefix};

    use super::*;

    const FIRST: Half = Half::First { alone: false };

    /// Takes a half of this request with these parameters; gives those of what comes out.
    fn take(halves: &mut Halves, half: Half, request: u64, params: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
        let mut params: Vec<Vec<u8>> = params.iter().map(|param| param.to_vec()).collect();
        params.push(request.to_le_bytes().to_vec());
        let bytes = write::event(5, 6, 7, &params);
        let prefix = Prefix::parse([0; PREFIX_BYTES]).unwrap();
        let record = Record { prefix, event: Event::parse(&bytes).unwrap() };
        halves.take(&record, half).map(|joined| joined.params)
    }

    fn params(params: &[&[u8]]) -> Vec<Vec<u8>> {
        params.iter().map(|param| param.to_vec()).collect()
    }

    #[test]
    fn the_second_half_completes_the_first() {
        let mut halves = Halves::default();
        assert_eq!(take(&mut halves, FIRST, 1, &[b"pending", b"/a"]), None);
        assert_eq!(take(&mut halves, FIRST, 2, &[b"pending", b"/b"]), None);
        assert_eq!(take(&mut halves, Half::Last, 1, &[b"done", b""]), Some(params(&[b"done", b"/a"])));
        assert_eq!(take(&mut halves, Half::Last, 1, &[b"done", b""]), None, "there is none any more");
        assert_eq!(take(&mut halves, FIRST, 2, &[b"pending", b"/c"]), Some(params(&[b"pending", b"/b"])));
    }

    #[test]
    fn success_without_a_second_half_is_told_after_a_second() {
        let mut halves = Halves::default();
        take(&mut halves, Half::First { alone: true }, 1, &[b"pending", b"/a"]);
        take(&mut halves, FIRST, 2, &[b"pending", b"/b"]);
        assert_eq!(halves.tick(), []);
        let told: Vec<_> = halves.tick().into_iter().map(|joined| joined.params).collect();
        assert_eq!(told, [params(&[&[0; 7], b"/a"])]);
        assert_eq!(halves.tick(), []);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut halves = Halves::default();
        for request in 0..MOST as u64 {
            assert_eq!(take(&mut halves, FIRST, request, &[&request.to_le_bytes()]), None);
        }
        assert_eq!(take(&mut halves, FIRST, 1 << 20, &[b"x"]), Some(params(&[&0_u64.to_le_bytes()])));
        assert_eq!((halves.waiting.len(), halves.places.len()), (MOST, MOST));
    }
}
