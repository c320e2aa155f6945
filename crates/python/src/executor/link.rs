//! [`Link`]: ties a future of the loop to one of `concurrent.futures`.
//!
//! Role: is a callback of both. The executor's future calls it, mostly in a thread of the
//! executor's: it puts itself into the loop's queue, and copies the outcome when the loop comes
//! to it. The loop's future tells it of its end: if that is a cancellation, the executor's
//! future is cancelled.
//!
//! Ownership: each future owns the link as its callback; the link owns both until the outcome
//! is copied.
//!
//! Invariant: between the looks at the state and at the outcome of the executor's future no
//! Python code runs, and it never changes once it is done.

use std::ffi::CStr;

use crate::asyncio::names;
use crate::combine::Observer;
use crate::event_loop::{NativeLoop, Ready};
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{CallFn, TypeCell};
use crate::ffi::{Args, Held, NativeType, Obj, Py, PyResult, Slot, Visitor};
use crate::future::{Callback, Future, HasFuture};

use super::LOOKUPS;

/// Two futures of one call.
#[derive(Debug)]
pub struct Link {
    event_loop: Held<NativeLoop>,
    /// The executor's.
    source: Slot,
    /// The loop's.
    destination: Held<Future>,
}

static LINK: TypeCell = TypeCell::new();

impl Link {
    /// A future of the loop for one of the executor's.
    pub fn tie(event_loop: &Py<NativeLoop>, source: &Obj) -> PyResult<Obj> {
        let destination = Future::make(event_loop)?;
        let link = Py::new(Self {
            event_loop: Held::from(event_loop),
            source: Slot::from(source.clone()),
            destination: Held::from(&destination),
        })?;
        let check = Callback::Observer(Observer::Link(link.clone()));
        destination.future().add_callback(destination.as_obj(), check)?;
        source.call_method1(&names().add_done_callback, link.as_obj())?;
        Ok(destination.into_obj())
    }

    /// One of the two is done, and calls: the executor's from any thread.
    fn call(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let [future] = args.exactly("_call_set_state")?;
        if this.destination.slot().holds(future) {
            return this.check_cancel().map(|()| Obj::none());
        }
        let Some(event_loop) = this.event_loop.get().filter(|it| !it.is_closed()) else {
            return Ok(Obj::none());
        };
        #[cfg(Py_3_14)]
        if crate::event_loop::running_loop()?.is_some_and(|it| it.is(event_loop.as_obj())) {
            return this.copy_outcome(future).map(|()| Obj::none());
        }
        // The loop copies the outcome, when it comes to that.
        event_loop.push(Ready::Observer(Observer::Link(this.clone()), future.clone()));
        event_loop.wake();
        Ok(Obj::none())
    }

    /// The loop has come to the end of one of the two.
    pub fn notify(&self, future: &Obj) -> PyResult<()> {
        if self.destination.slot().holds(future) {
            self.check_cancel()
        } else {
            self.copy_outcome(future)
        }
    }

    /// The loop's future is done: what nobody waits for any more need not be run.
    fn check_cancel(&self) -> PyResult<()> {
        let (source, destination) = (self.source.get(), self.destination.get());
        if let (Some(source), Some(destination)) = (source, destination)
            && destination.future().is_cancelled()
        {
            source.call_method0(&names().cancel)?;
        }
        Ok(())
    }

    /// Gives the outcome of the executor's future to the loop's, unless that is cancelled.
    fn copy_outcome(&self, source: &Obj) -> PyResult<()> {
        let Some(destination) = self.destination.get() else { return Ok(()) };
        let (stock, own) = (LOOKUPS.get(), destination.future());
        if own.is_cancelled() {
            self.clear();
            return Ok(());
        }
        let state = source.getattr(&stock.names._state)?;
        let is_cancelled = stock.cancelled.iter().any(|cancelled| state.is(cancelled));
        if !own.is_pending() || !(is_cancelled || state.is(&stock.finished)) {
            // Not as an executor and a program leave them: asyncio itself knows what to do.
            return stock.copy_state.call2(source, destination.as_obj()).map(drop);
        }
        self.clear();
        if is_cancelled {
            return own.cancel(destination.as_obj(), None).map(drop);
        }
        let exception = source.getattr(&stock.names._exception)?;
        if exception.is_none() {
            let result = source.getattr(&stock.names._result)?;
            return own.set_result(destination.as_obj(), &result);
        }
        let exception = stock.convert_exception.call1(&exception)?;
        own.set_exception(destination.as_obj(), &exception)
    }
}

impl NativeType for Link {
    const NAME: &'static CStr = c"batuta._batuta.Link";
    const DOC: &'static CStr = c"Ties a future of the loop to one of an executor's.";
    const POOL: usize = 256;
    const CALL: Option<CallFn<Self>> = Some(Self::call);

    fn cell() -> &'static TypeCell {
        &LINK
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [self.event_loop.slot(), &self.source, self.destination.slot()] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.source.set(None);
        self.destination.release();
        self.event_loop.release();
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
