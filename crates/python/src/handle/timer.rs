//! `TimerHandle`: what `call_later` and `call_at` return.
//!
//! Invariant: it has a key from the time that it is put among the loop's timers until it is
//! cancelled; whether it is still among them, they know.

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
        this.wait_no_longer();
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
        let timer = event_loop.make_timer(Self { core, when, given_when, key: Cell::new(None) })?;
        let result = Py::clone(&timer);
        let key = event_loop.timers.borrow_mut().insert(due, Due::Handle(timer));
        result.key.set(Some(key));
        Ok(result)
    }

    /// Leaves the loop's timers, if it is among them.
    #[inline]
    pub fn wait_no_longer(&self) {
        if let Some(key) = self.key.take() {
            let event_loop = self.core.event_loop.get_or_none();
            if let Some(event_loop) = Py::<NativeLoop>::from_instance(&event_loop) {
                let removed = event_loop.timers.borrow_mut().cancel(key);
                drop(removed);
            }
        }
    }

    /// The loop time at which it is due, in seconds.
    pub fn seconds(&self) -> f64 {
        self.when
    }

    fn is_scheduled(&self) -> bool {
        let event_loop = self.core.event_loop.get_or_none();
        match (Py::<NativeLoop>::from_instance(&event_loop), self.key.get()) {
            (Some(event_loop), Some(key)) => event_loop.timers.borrow().holds(key),
            _ => false,
        }
    }

    fn when(&self) -> PyResult<Obj> {
        match self.given_when.get() {
            Some(given) => Ok(given),
            None => Obj::float(self.when),
        }
    }
}

impl NativeType for TimerHandle {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.TimerHandle";
    const DOC: &'static std::ffi::CStr =
        c"A callback scheduled by call_later() or call_at(). See asyncio.TimerHandle.";
    const POOL: usize = 16_384;

    fn cell() -> &'static TypeCell {
        &TIMER_HANDLE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.core.traverse(visitor);
        visitor.slot(&self.given_when);
    }

    fn clear(&self) {
        self.core.clear();
        self.given_when.set(None);
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
            .get(c"_scheduled", |this: &Py<Self>| Ok(this.is_scheduled()))
    }
}
