//! Writes that wait for the end of the turn (`loop.coalesce_writes`).
//!
//! Role: the list of the stream transports that hold small writes of tasks and
//! callbacks back, and the moments at which they send them: at the end of the
//! turn, and before it once there are [`MAX_ENTRIES`] of them or [`MAX_NANOS`]
//! have passed, so that a long turn keeps nobody waiting for all of it.
//!
//! Invariant: the list is empty whenever the loop polls, returns to its caller
//! or is about to be forked. Thread: the loop's.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};

use batuta_engine::clock::Instant;

use crate::ffi::panic::catch_panic;
use crate::ffi::{Py, PyResult, Raised, Visitor};
use crate::task::settle;
use crate::transport::StreamTransport;

use super::NativeLoop;

/// At most so many transports wait at a time.
const MAX_ENTRIES: usize = 16;

/// After so many nanoseconds (1 ms) nobody waits for another entry of the queue.
const MAX_NANOS: u64 = 1_000_000;

/// What new loops begin with.
static BY_DEFAULT: AtomicBool = AtomicBool::new(false);

/// The transports that hold writes back.
#[derive(Debug)]
pub(super) struct Held {
    /// Whether writes are held back at all.
    enabled: Cell<bool>,
    /// Whether entries of the queue are run, at whose end somebody looks here.
    in_turn: Cell<bool>,
    count: Cell<usize>,
    since: Cell<Instant>,
    transports: RefCell<Vec<Py<StreamTransport>>>,
}

impl Held {
    pub(super) fn new() -> Self {
        Self {
            enabled: Cell::new(BY_DEFAULT.load(Ordering::Relaxed)),
            in_turn: Cell::new(false),
            count: Cell::new(0),
            since: Cell::new(Instant(0)),
            transports: RefCell::default(),
        }
    }

    /// Whether some wait.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.count.get() > 0
    }

    /// Whether they have waited long enough, though the turn goes on.
    pub(super) fn is_due(&self) -> bool {
        self.count.get() >= MAX_ENTRIES || Instant::now().nanos_since(self.since.get()) >= MAX_NANOS
    }

    /// Begins to run entries, or ends it; what it was before, as loops may be nested.
    pub(super) fn set_in_turn(&self, in_turn: bool) -> bool {
        self.in_turn.replace(in_turn)
    }

    /// Forgets them, unsent.
    pub(super) fn clear(&self) {
        self.count.set(0);
        let transports = self.transports.take();
        drop(transports);
    }

    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(transports) = self.transports.try_borrow() {
            transports.iter().for_each(|transport| visitor.obj(transport.as_obj()));
        }
    }
}

impl NativeLoop {
    /// Makes new loops hold small writes back, or not.
    pub fn coalesce_by_default(coalesce: bool) {
        BY_DEFAULT.store(coalesce, Ordering::Relaxed);
    }

    /// Whether small writes of tasks and callbacks wait for the end of the turn.
    pub fn coalesces_writes(&self) -> bool {
        self.held.enabled.get()
    }

    /// Switches that on or off; what waits already leaves when it would have.
    pub fn set_coalesce_writes(&self, coalesce: bool) {
        self.held.enabled.set(coalesce);
    }

    /// Whether a write may wait: the turn has an end that will come.
    #[inline]
    pub fn may_hold(&self) -> bool {
        self.held.enabled.get() && self.held.in_turn.get()
    }

    /// Takes note that the transport holds something back.
    pub fn hold(&self, transport: &Py<StreamTransport>) {
        if !self.held.any() {
            self.held.since.set(Instant::now());
        }
        let mut transports = self.held.transports.borrow_mut();
        if transports.last().is_some_and(|last| last.as_obj().is(transport.as_obj())) {
            return; // Its former writes have left before the end of the turn.
        }
        transports.push(transport.clone());
        self.held.count.set(self.held.count.get() + 1);
    }
}

impl Py<NativeLoop> {
    /// Has the transports send what they hold back; then goes on with what the
    /// entry that was run last has `ran` into.
    pub(super) fn send_held(&self, ran: PyResult<()>) -> PyResult<()> {
        let mut kept = ran.map_err(Raised::take);
        let mut transports = self.held.transports.take();
        self.held.count.set(0);
        for transport in transports.drain(..) {
            let sent = settle(self).and_then(|()| {
                catch_panic(|| transport.send_held())
                    .or_else(|raised| self.transport_failed(raised, transport.as_obj()))
            });
            if let Err(raised) = sent {
                match &kept {
                    Ok(()) => kept = Err(raised.take()),
                    Err(_) => raised.unraisable(transport.as_obj()),
                }
            }
        }
        // The memory is used again.
        if !self.held.any() {
            self.held.transports.replace(transports);
        }
        kept.map_err(Raised::restore)
    }
}
