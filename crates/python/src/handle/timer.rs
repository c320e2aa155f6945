//! `TimerHandle`: what `call_later` and `call_at` return.
//!
//! Invariant: it has a key exactly while it is among the loop's timers.

use std::cell::Cell;

use batuta_engine::clock::Instant;
use batuta_engine::timers::TimerKey;

use crate::event_loop::{Due, NativeLoop};
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::{NativeType, Obj, Py, PyResult, Slot, Visitor};

use super::{Core, HasCore, methods, properties};

/// What `call_later` and `call_at` return.
#[derive(Debug)]
pub struct TimerHandle {
    core: Core,
    /// The loop time at which it is due, in seconds.
    when: f64,
    /// The same as `call_at` was given it, if it was given.
    given_when: Slot,
    key: Cell<Option<TimerKey>>,
}

static TIMER_HANDLE: TypeCell = TypeCell::new();

impl HasCore for TimerHandle {
    #[inline]
    fn core(&self) -> &Core {
        &self.core
    }

    fn cancel(this: &Py<Self>) -> PyResult<()> {
        if let Some(key) = this.key.take() {
            let event_loop = this.core.event_loop.get_or_none();
            if let Some(event_loop) = Py::<NativeLoop>::from_instance(&event_loop) {
                let removed = event_loop.timers.borrow_mut().cancel(key);
                drop(removed);
            }
        }
        this.core.cancel(this.as_obj())
    }
}

impl TimerHandle {
    /// Makes a timer for the loop time `when`, in seconds, and puts it among the loop's.
    #[inline]
    pub fn schedule(
        event_loop: &Py<NativeLoop>,
        when: f64,
        given_when: Option<Obj>,
        core: Core,
    ) -> PyResult<Py<Self>> {
        let due = Instant::at_or_after(when);
        let given_when = Slot::from(given_when);
        let timer = Py::new(Self { core, when, given_when, key: Cell::new(None) })?;
        let key = event_loop.timers.borrow_mut().insert(due, Due::Handle(timer.clone()));
        timer.key.set(Some(key));
        Ok(timer)
    }

    fn when(&self) -> PyResult<Obj> {
        match self.given_when.get() {
            Some(given) => Ok(given),
            None => Obj::float(self.when),
        }
    }

    /// Notes that it has left the loop's timers.
    #[inline]
    pub fn fired(&self) {
        self.key.set(None);
    }
}

impl NativeType for TimerHandle {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.TimerHandle";
    const DOC: &'static std::ffi::CStr =
        c"A callback scheduled by call_later() or call_at(). See asyncio.TimerHandle.";
    const POOL: usize = 1024;

    fn cell() -> &'static TypeCell {
        &TIMER_HANDLE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.core.traverse(visitor);
        visitor.slot(&self.given_when);
    }

    fn clear(&self) {
        self.core.clear();
    }

    fn methods() -> Methods<Self> {
        methods().noargs(
            c"when",
            c"Return the loop time, in seconds, at which the callback is due.",
            |this: &Py<Self>| this.when(),
        )
    }

    fn properties() -> Properties<Self> {
        properties()
            .get(c"_when", |this: &Py<Self>| this.when())
            .get(c"_scheduled", |this: &Py<Self>| Ok(this.key.get().is_some()))
    }
}
