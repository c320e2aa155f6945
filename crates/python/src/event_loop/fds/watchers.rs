//! Who watches a descriptor: callbacks and operations, one for each direction.

use batuta_engine::driver::{Interest, Trigger};

use crate::ffi::{Obj, Py, Visitor};
use crate::handle::Handle;
use crate::sock::Waiter;

/// Which direction of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// That of `add_reader`.
    Read,
    /// That of `add_writer`.
    Write,
}

/// Who is told that a descriptor is ready.
#[derive(Clone, Debug)]
pub enum Watcher {
    /// A callback: `add_reader`'s and `add_writer`'s, or that of an operation which needs a handle.
    Callback(Py<Handle>),
    /// An operation that tries again then.
    Waiter(Waiter),
}

impl Watcher {
    /// Whether this is the callback of the handle.
    pub fn is_callback(&self, handle: &Obj) -> bool {
        matches!(self, Self::Callback(here) if here.as_obj().is(handle))
    }

    /// Whether this is the operation.
    pub fn is_waiter(&self, operation: &Obj) -> bool {
        matches!(self, Self::Waiter(here) if here.as_obj().is(operation))
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.obj(match self {
            Self::Callback(handle) => handle.as_obj(),
            Self::Waiter(waiter) => waiter.as_obj(),
        });
    }
}

/// The watchers of one descriptor.
#[derive(Debug)]
pub struct Watchers {
    reader: Option<Watcher>,
    writer: Option<Watcher>,
    /// What a callback was added for, if that was an object and no number: it lives as long as it
    /// is watched, as in asyncio's selector.
    file: Option<Obj>,
    /// How the driver reports: level-triggered as soon as a callback is or was among the watchers;
    /// once for each wait if there are operations only, and then the registration outlives them.
    pub trigger: Trigger,
}

impl Watchers {
    /// Nobody.
    pub fn none(trigger: Trigger) -> Self {
        Self { reader: None, writer: None, file: None, trigger }
    }

    /// The watcher of a direction.
    #[inline]
    pub fn get(&self, side: Side) -> Option<&Watcher> {
        match side {
            Side::Read => self.reader.as_ref(),
            Side::Write => self.writer.as_ref(),
        }
    }

    /// Where the watcher of a direction is kept.
    pub fn place(&mut self, side: Side) -> &mut Option<Watcher> {
        match side {
            Side::Read => &mut self.reader,
            Side::Write => &mut self.writer,
        }
    }

    /// Keeps the object that a callback was added for; says what was kept before, to be dropped
    /// when nothing is borrowed.
    #[must_use]
    pub fn keep(&mut self, file: &Obj) -> Option<Obj> {
        self.file.replace(file.clone())
    }

    /// Whether this is what a callback was added for.
    pub fn are_of(&self, file: &Obj) -> bool {
        self.file.as_ref().is_some_and(|kept| kept.is(file))
    }

    /// The operation that waits for a direction.
    #[inline]
    pub fn waiter(&self, side: Side) -> Option<&Waiter> {
        match self.get(side) {
            Some(Watcher::Waiter(waiter)) => Some(waiter),
            _ => None,
        }
    }

    /// What the driver is to report.
    #[inline]
    pub fn interest(&self) -> Interest {
        Interest { read: self.reader.is_some(), write: self.writer.is_some() }
    }

    /// Whether nobody watches.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.reader.is_none() && self.writer.is_none()
    }

    /// Shows the watchers to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for watcher in [&self.reader, &self.writer].into_iter().flatten() {
            watcher.traverse(visitor);
        }
        if let Some(file) = &self.file {
            visitor.obj(file);
        }
    }
}
