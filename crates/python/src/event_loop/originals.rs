//! Whether a program has replaced methods of a loop that native code goes past.
//!
//! What is found is kept with the version of the loop's class, and forgotten when one of
//! the names is assigned on the loop itself: asking again costs a comparison.

use std::cell::Cell;
use std::num::NonZeroU32;

use crate::asyncio::names;
use crate::connect;
use crate::ffi::names::Name;
use crate::ffi::{Obj, Py};

use super::NativeLoop;

/// What native code may want to do without calling methods.
#[derive(Clone, Copy, Debug)]
pub enum Past {
    /// Put entries into the ready queue.
    CallSoon,
    /// Make tasks.
    CreateTask,
    /// Make futures and put entries among the timers.
    CallLater,
    /// Make futures.
    CreateFuture,
    /// Put entries into the ready queue from other threads, and make futures.
    CallThreadSafe,
    /// Connect sockets and give them transports.
    Connect,
    /// Go by the system's clock.
    Clock,
}

/// What was found, by [`Past`].
#[derive(Debug, Default)]
pub struct Originals {
    call_soon: Cell<Option<NonZeroU32>>,
    create_task: Cell<Option<NonZeroU32>>,
    call_later: Cell<Option<NonZeroU32>>,
    create_future: Cell<Option<NonZeroU32>>,
    call_thread_safe: Cell<Option<NonZeroU32>>,
    connect: Cell<Option<NonZeroU32>>,
    clock: Cell<Option<NonZeroU32>>,
}

impl Originals {
    #[inline]
    fn place(&self, past: Past) -> &Cell<Option<NonZeroU32>> {
        match past {
            Past::CallSoon => &self.call_soon,
            Past::CreateTask => &self.create_task,
            Past::CallLater => &self.call_later,
            Past::CreateFuture => &self.create_future,
            Past::CallThreadSafe => &self.call_thread_safe,
            Past::Connect => &self.connect,
            Past::Clock => &self.clock,
        }
    }
}

/// The methods that [`Past::CallLater`] stands for.
fn timing() -> [&'static Name; 4] {
    let names = names();
    [&names.call_later, &names.call_at, &names.time, &names.create_future]
}

impl NativeLoop {
    /// Whether nobody has replaced the methods of this loop or in its class.
    #[inline]
    pub fn may_go_past(this: &Py<Self>, past: Past) -> bool {
        let version = this.as_obj().class_version();
        (version.is_some() && this.originals.place(past).get() == version)
            || Self::look_for_patches(this, past)
    }

    #[cold]
    fn look_for_patches(this: &Py<Self>, past: Past) -> bool {
        if let Err(raised) = Self::look_at_bases(this) {
            raised.unraisable(this.as_obj());
        }
        let native = match past {
            Past::CallSoon => Self::has_own(this, &names().call_soon),
            Past::CreateTask => Self::has_own(this, &names().create_task),
            Past::CreateFuture => Self::has_own(this, &names().create_future),
            Past::CallLater => timing().iter().all(|name| Self::has_own(this, name)),
            Past::CallThreadSafe => [&names().call_soon_threadsafe, &names().create_future]
                .iter()
                .all(|name| Self::has_own(this, name)),
            Past::Connect => connect::has_originals(this),
            Past::Clock => {
                [&names().time, &names().call_at].iter().all(|name| Self::has_own(this, name))
            }
        };
        let version = if native { this.as_obj().class_version() } else { None };
        this.originals.place(past).set(version);
        native
    }

    /// Whether the method of this name is the native one: the only built-in function
    /// that is bound to the loop.
    pub fn has_own(this: &Py<Self>, name: &Name) -> bool {
        match this.as_obj().getattr(name) {
            Ok(found) => found.is_builtin_of(this.as_obj()),
            Err(raised) => {
                raised.clear();
                false
            }
        }
    }

    /// An attribute of the loop was set or deleted.
    pub(super) fn assigned(this: &Py<Self>, name: &Obj) {
        // These go past many, and are not worth a look at each.
        this.originals.connect.set(None);
        this.originals.call_thread_safe.set(None);
        let others = [&names().call_soon, &names().create_task];
        if others.iter().chain(&timing()).any(|own| name.is(own.as_obj())) {
            let pasts = [
                Past::CallSoon,
                Past::CreateTask,
                Past::CallLater,
                Past::CreateFuture,
                Past::Clock,
            ];
            for past in pasts {
                this.originals.place(past).set(None);
            }
        }
    }
}
