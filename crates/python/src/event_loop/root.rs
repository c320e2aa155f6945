//! What the collector need not know while the loop runs.
//!
//! A loop that runs its turns is alive, and so is what waits in its queue and among its
//! timers: handles that are made meanwhile are unknown to the collector (see [`Rooted`]).
//! Those that leave the loop while somebody else holds them become known then. A loop that
//! does not run may itself be part of a cycle: when a run ends, all that still waits
//! becomes known.
//!
//! Thread: any that holds the lock makes handles; the loop's begins and ends runs.

use std::cell::Cell;

use crate::ffi::{Py, PyResult, Rooted};
use crate::handle::HasCore;

use super::NativeLoop;

/// At the end of a run all timers are gone through once if any is unknown. So that short
/// runs of a loop with many timers do not do that for the sake of one or two, a run has to
/// make this part of them before it makes unknown ones.
const WAITING_PER_MADE: usize = 8;

/// Whether the loop is a root, and what it has made in this capacity.
#[derive(Debug, Default)]
pub(super) struct Root {
    runs: Cell<bool>,
    /// How many timers were made in this run.
    timers_made: Cell<usize>,
    has_unknown_timers: Cell<bool>,
}

impl NativeLoop {
    /// A run begins; says whether it is inside another one.
    pub(super) fn become_root(&self) -> bool {
        let is_inner = self.root.runs.replace(true);
        if !is_inner {
            self.root.timers_made.set(0);
        }
        is_inner
    }

    /// The outermost run has ended.
    pub(super) fn leave_root(&self) {
        self.root.runs.set(false);
        for entry in self.ready.borrow().iter() {
            entry.look_at(super::Ready::leave_root);
        }
        if self.root.has_unknown_timers.replace(false) {
            self.timers.borrow().iter().for_each(super::Due::leave_root);
        }
    }

    /// Makes a handle for the ready queue.
    #[inline]
    pub(super) fn make_handle<T: HasCore>(&self, handle: T) -> PyResult<Rooted<T>> {
        if !self.root.runs.get() {
            return Py::new(handle).map(Rooted::from);
        }
        Rooted::new(handle)
    }

    /// Makes a handle for the timers.
    #[inline]
    pub fn make_timer<T: HasCore>(&self, timer: T) -> PyResult<Rooted<T>> {
        let root = &self.root;
        let made = root.timers_made.get().saturating_add(1);
        root.timers_made.set(made);
        let waiting = self.timers.borrow().len();
        if !root.runs.get() || made.saturating_mul(WAITING_PER_MADE) < waiting {
            return Py::new(timer).map(Rooted::from);
        }
        root.has_unknown_timers.set(true);
        Rooted::new(timer)
    }
}
