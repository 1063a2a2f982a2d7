//! The programs of the probe. Some are loaded while others report already: on a thread of their own, because no event can
//! wait for the kernel's verifier.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
};

use aya::{Btf, Ebpf};

use crate::{Waker, object, probe::ProbeError};

/// What came of loading each hook.
pub(crate) type Results = BTreeMap<&'static str, Result<(), String>>;

/// All of them, or where they are.
pub(crate) struct Programs {
    /// `None` while the loading thread has them.
    here: Option<Ebpf>,
    back: Option<Receiver<(Ebpf, Results)>>,
    results: Results,
}

impl Programs {
    pub(crate) fn new(ebpf: Ebpf) -> Self {
        Self { here: Some(ebpf), back: None, results: Results::new() }
    }

    /// Waits for them if they are being loaded.
    pub(crate) fn get(&mut self) -> Result<&mut Ebpf, ProbeError> {
        if let Some(back) = self.back.take() {
            let (ebpf, results) = back.recv().map_err(|_| ProbeError::Lost)?;
            self.take_back(ebpf, results);
        }
        self.here.as_mut().ok_or(ProbeError::Lost)
    }

    fn take_back(&mut self, ebpf: Ebpf, results: Results) {
        (self.here, self.back) = (Some(ebpf), None);
        self.results.extend(results);
    }

    /// Whether hooks are being loaded, or nobody has asked yet what came of it.
    pub(crate) fn are_loading(&self) -> bool {
        self.back.is_some() || !self.results.is_empty()
    }

    /// Begins to load these hooks, and wakes when that is done; not while others are being loaded.
    pub(crate) fn load(&mut self, hooks: Vec<&'static str>, waker: Waker) -> io::Result<()> {
        let ((give, take), (done, back)) = (channel(), channel());
        let load = move || load_and_give_back(&take, &hooks, &done, &waker);
        // They are handed over to a thread that is there.
        thread::Builder::new().name("loader".to_owned()).spawn(load)?;
        if let Some(ebpf) = self.here.take() {
            // An error says that the thread is gone, which the other channel says, too.
            let _ = give.send(ebpf);
            self.back = Some(back);
        }
        Ok(())
    }

    /// What came of loading since the last time, if it is over.
    pub(crate) fn results(&mut self) -> Results {
        match self.back.as_ref().map(Receiver::try_recv) {
            Some(Ok((ebpf, results))) => self.take_back(ebpf, results),
            // From now on they are lost.
            Some(Err(TryRecvError::Disconnected)) => self.back = None,
            None | Some(Err(TryRecvError::Empty)) => {}
        }
        std::mem::take(&mut self.results)
    }
}

fn load_and_give_back(
    take: &Receiver<Ebpf>,
    hooks: &[&'static str],
    done: &Sender<(Ebpf, Results)>,
    waker: &Waker,
) {
    let Ok(mut ebpf) = take.recv() else { return };
    let results = load(&mut ebpf, hooks);
    // An error says that the probe is gone.
    let _ = done.send((ebpf, results));
    waker.wake();
}

fn load(ebpf: &mut Ebpf, hooks: &[&'static str]) -> Results {
    let loaded = match Btf::from_sys_fs() {
        Ok(btf) => object::load_each(ebpf, &btf, hooks),
        Err(error) => {
            let reason = ProbeError::Btf(Box::new(error)).to_string();
            return hooks.iter().map(|hook| (*hook, Err(reason.clone()))).collect();
        }
    };
    object::give_back_memory();
    loaded.into_iter().map(|(hook, result)| (hook, result.map_err(|error| error.to_string()))).collect()
}
