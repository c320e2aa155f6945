//! `wait_for()` of 3.11: the awaitable becomes a future, and the current task waits for
//! another one, which is done when that is done or the time is over.
//!
//! A timeout of zero or less, unusual numbers and loops that keep time in another way are
//! the interpreter's business, as is waiting for the end of what was cancelled.

use std::cell::Cell;
use std::ffi::CStr;

use batuta_engine::clock::Instant;
use batuta_engine::timers::TimerKey;

use crate::asyncio::{Asyncio, names};
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::{NativeLoop, running_loop_or_raise};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::future::{Awaited, Callback, Future};

use super::lookups::stock;
use super::{Alarm, Observer, child, gather};

/// What a `wait_for()` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Something that is not ours: its outcome is the outcome.
    Through,
    /// The end of the future, or of the time.
    Either,
    /// The end of the future that was cancelled because the time was over.
    TimedOut,
    /// The same because the task was cancelled: that goes on afterwards.
    Cancelled,
}

/// A `wait_for()`.
#[derive(Debug)]
pub struct WaitFor {
    phase: Cell<Phase>,
    /// The awaitable, then the future.
    future: Slot,
    timeout: Slot,
    event_loop: Slot,
    key: Cell<Option<TimerKey>>,
    /// What the current task waits for.
    waiter: Slot,
    cancelled: Slot,
}

static WAIT_FOR: TypeCell = TypeCell::new();

/// `wait_for(fut, timeout)`
pub fn wait_for(args: &Args<'_>) -> PyResult<Obj> {
    let names = &stock().names;
    match args.bind("wait_for", 0, [&names.fut, &names.timeout]) {
        Ok([Some(awaitable), Some(timeout)]) => Coroutine::make(WaitFor {
            phase: Cell::new(Phase::Through),
            future: Slot::from(awaitable.clone()),
            timeout: Slot::from(timeout.clone()),
            event_loop: Slot::default(),
            key: Cell::new(None),
            waiter: Slot::default(),
            cancelled: Slot::default(),
        }),
        Ok(_) => args.forward_all(&stock().wait_for),
        Err(raised) => {
            // Python's own words for it.
            raised.clear();
            args.forward_all(&stock().wait_for)
        }
    }
}

impl WaitFor {
    /// Waits for the future or the end of the time, on a native loop.
    fn wait(&self, native: &Py<NativeLoop>, awaitable: &Obj, seconds: f64) -> PyResult<Step> {
        let waiter = Future::make(native)?;
        let when = Instant::now().as_secs_f64() + seconds;
        let alarm = Alarm::Complete(waiter.clone(), Obj::none());
        self.key.set(Some(native.set_alarm(when, alarm)));
        self.event_loop.set(Some(native.as_obj().clone()));
        let future = if let Some(task) = gather::make_task(native, awaitable)? {
            task.into_obj()
        } else {
            let ensure_future = Asyncio::get().tasks.attr(c"ensure_future")?;
            let keyword = &Asyncio::get().loop_keyword;
            ensure_future.call_keywords(Some(awaitable), keyword, [native.as_obj()])?
        };
        self.future.set(Some(future.clone()));
        let observer = Observer::Release(waiter.clone());
        match Awaited::from_exact(&future) {
            Some(awaited) => {
                awaited.core().add_callback(&future, Callback::Observer(observer))?;
            }
            None => {
                future.call_method1(&names().add_done_callback, &observer.callable()?)?;
            }
        }
        self.phase.set(Phase::Either);
        self.waiter.set(Some(waiter.as_obj().clone()));
        Ok(Step::Wait(waiter.into_obj()))
    }

    /// Has the alarm taken back.
    fn disarm(&self) {
        if let Some(event_loop) = self.event_loop.get()
            && let Some(key) = self.key.take()
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
        {
            native.take_alarm_back(key);
        }
    }

    /// Cancels the future and waits for its end, by the interpreter's own helper.
    #[cold]
    fn cancel_and_wait(&self, future: &Obj) -> PyResult<Step> {
        if let Some(waiter) = self.waiter.take()
            && let Some(waiter) = Py::<Future>::from_exact(&waiter)
        {
            let observer = Observer::Release(waiter.clone());
            if let Some(awaited) = Awaited::from_exact(future) {
                awaited.core().remove_observer(&observer);
            } else {
                let remove = &stock().names.remove_done_callback;
                future.call_method1(remove, &observer.callable()?)?;
            }
        }
        let keyword = &Asyncio::get().loop_keyword;
        let event_loop = self.event_loop.get_or_none();
        let helper = Asyncio::get().tasks.attr(c"_cancel_and_wait")?;
        helper.call_keywords(Some(future), keyword, [&event_loop]).map(Step::Wait)
    }

    fn either(&self, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let future = self.future.get_or_none();
        match outcome {
            Err(exception) if !exception.is_instance(&Asyncio::get().cancelled_error)? => {
                self.disarm();
                Err(Raised::restore(exception))
            }
            outcome if child::is_done(&future)? => {
                self.disarm();
                let cancelled = outcome.err();
                child::result(&future).map(Step::Done).map_err(|raised| match &cancelled {
                    Some(cancelled) => while_handling(cancelled, raised),
                    None => raised,
                })
            }
            Ok(_) => {
                self.phase.set(Phase::TimedOut);
                self.cancel_and_wait(&future)
            }
            Err(exception) => {
                self.phase.set(Phase::Cancelled);
                self.cancelled.set(Some(exception));
                self.cancel_and_wait(&future)
            }
        }
    }

    /// The future has ended after the time was over.
    #[cold]
    fn timed_out(&self) -> PyResult<Step> {
        let raised = match child::result(&self.future.get_or_none()) {
            Ok(result) => return Ok(Step::Done(result)),
            Err(raised) => raised,
        };
        if !raised.matches(&Asyncio::get().cancelled_error) {
            return Err(raised);
        }
        let exception = raised.take();
        let timeout = stock().timeout_error.call0()?;
        timeout.set_cause(&exception);
        Err(Raised::restore(timeout))
    }
}

/// What asyncio raises in its handler of a cancellation: that is its context.
#[cold]
fn while_handling(cancelled: &Obj, raised: Raised) -> Raised {
    let exception = raised.take();
    if !exception.is(cancelled) {
        exception.set_context(cancelled);
    }
    Raised::restore(exception)
}

impl Routine for WaitFor {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_wait_for";
    const POOL: usize = 256;

    fn cell() -> &'static TypeCell {
        &WAIT_FOR
    }

    fn qualname(&self) -> &'static str {
        "wait_for"
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let (awaitable, timeout) = (self.future.take(), self.timeout.take());
        let (Some(awaitable), Some(timeout)) = (awaitable, timeout) else {
            return Ok(Step::Done(Obj::none()));
        };
        let event_loop = running_loop_or_raise()?;
        if timeout.is_none() {
            return Ok(Step::Wait(awaitable));
        }
        if let Some(seconds) = timeout.plain_number()
            && seconds > 0.0
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
            && NativeLoop::keeps_time_natively(native)
        {
            return self.wait(native, &awaitable, seconds);
        }
        stock().wait_for.call2(&awaitable, &timeout).map(Step::Wait)
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        match self.phase.get() {
            Phase::Through => outcome.map(Step::Done).map_err(Raised::restore),
            Phase::Either => self.either(outcome),
            phase => {
                self.disarm();
                match (outcome, phase, self.cancelled.take()) {
                    (Err(exception), ..) | (Ok(_), Phase::Cancelled, Some(exception)) => {
                        Err(Raised::restore(exception))
                    }
                    _ => self.timed_out(),
                }
            }
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.future, &self.timeout, &self.event_loop, &self.waiter, &self.cancelled] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.disarm();
        for slot in [&self.future, &self.timeout, &self.event_loop, &self.waiter, &self.cancelled] {
            slot.set(None);
        }
    }
}
