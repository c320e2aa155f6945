//! Whether nothing is unfinished, and who waits for it: asyncio's `_finished`.
//!
//! Invariant: as long as nobody has looked at the event there is none, only its flag.

use std::cell::Cell;

use crate::ffi::{Obj, Py, PyResult, Slot};

use super::super::event::NativeEvent;
use super::super::lookups::own_names;

/// An event that is made when somebody looks at it. It begins set.
#[derive(Debug)]
pub struct Finished {
    flag: Cell<bool>,
    event: Slot,
    /// Whether the event is the one that was made here.
    ours: Cell<bool>,
}

impl Default for Finished {
    fn default() -> Self {
        Self { flag: Cell::new(true), event: Slot::default(), ours: Cell::new(false) }
    }
}

impl Finished {
    /// Begins anew, with an event of its own.
    pub fn reset(&self) {
        self.flag.set(true);
        self.event.set(None);
    }

    /// Everything is finished.
    pub fn set(&self) -> PyResult<()> {
        self.flag.set(true);
        match self.event.get() {
            None => Ok(()),
            Some(event) => match self.native(&event) {
                Some(native) => native.set(),
                None => event.call_method0(&own_names().set).map(drop),
            },
        }
    }

    /// Something is not.
    #[inline]
    pub fn unset(&self) -> PyResult<()> {
        self.flag.set(false);
        if self.event.is_some() { self.unset_event() } else { Ok(()) }
    }

    fn unset_event(&self) -> PyResult<()> {
        let event = self.event.get_or_none();
        if let Some(native) = self.native(&event) {
            native.unset();
            return Ok(());
        }
        event.call_method0(&own_names().clear).map(drop)
    }

    fn native<'a>(&self, event: &'a Obj) -> Option<&'a Py<NativeEvent>> {
        if self.ours.get() { Py::from_instance(event) } else { None }
    }

    /// The event of `queue`, whose class says how one is made.
    pub fn show(&self, queue: &Obj) -> PyResult<Obj> {
        if let Some(event) = self.event.get() {
            return Ok(event);
        }
        let event = queue.getattr(&own_names()._batuta_event)?.call0()?;
        self.ours.set(true);
        self.event.set(Some(event.clone()));
        if self.flag.get() {
            self.set()?;
        }
        Ok(event)
    }

    /// The program has put another one in its place.
    pub fn replace(&self, event: &Obj) {
        self.ours.set(false);
        self.event.set(Some(event.clone()));
    }

    /// What waits until everything is finished.
    pub fn wait(&self, queue: &Obj) -> PyResult<Obj> {
        let event = self.show(queue)?;
        match self.native(&event) {
            Some(native) => native.wait(),
            None => event.call_method0(&own_names().wait),
        }
    }

    /// The event, if there is one.
    pub fn slot(&self) -> &Slot {
        &self.event
    }
}
