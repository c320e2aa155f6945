//! `wait()`.
//!
//! Native for lists, tuples and sets of native futures on a native loop; everything else,
//! and whatever is refused, is the interpreter's business.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;

use batuta_engine::clock::Instant;
use batuta_engine::timers::TimerKey;

#[cfg(Py_3_14)]
use crate::asyncio::Asyncio;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::{NativeLoop, running_loop_or_raise};
use crate::ffi::gil::Global;
use crate::ffi::method::Bindable;
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::future::{Awaited, Callback, Future, HasFuture, State};

#[cfg(Py_3_14)]
use super::lookups::current_task;
use super::lookups::stock;
use super::{Alarm, Observer};

/// What ends a `wait()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Until {
    #[default]
    AllCompleted,
    FirstException,
    FirstCompleted,
}

/// A `wait()`.
#[derive(Debug, Default)]
pub struct Wait {
    futures: Slot,
    timeout: Slot,
    return_when: Slot,
    /// Those that are waited for, each once; none unless the wait is native.
    watched: RefCell<Rc<[Awaited]>>,
    until: Cell<Until>,
    left: Cell<usize>,
    waiter: Slot,
    event_loop: Slot,
    key: Cell<Option<TimerKey>>,
    /// The task of which the futures know that it waits.
    task: Slot,
}

static WAIT: TypeCell = TypeCell::new();

/// What a future calls when native code cannot be told.
static ENDED: Global<Ended> = Global::new();

#[derive(Debug)]
struct Ended(Bindable<Coroutine<Wait>>);

/// Makes what waits need; once, at import.
pub fn prepare() {
    ENDED.set(Ended(Bindable::new(
        c"_on_completion",
        |this: &Py<Coroutine<Wait>>, future: &Obj| ended(this, future),
    )));
}

/// `wait(fs, *, timeout=None, return_when=ALL_COMPLETED)`
pub fn wait(args: &Args<'_>) -> PyResult<Obj> {
    let names = &stock().names;
    let known = args.only_known([&names.timeout, &names.return_when]);
    let ([futures], Some([timeout, return_when])) = (args.positional(), known) else {
        return args.forward_all(&stock().wait);
    };
    Coroutine::make(Wait {
        futures: Slot::from(futures.clone()),
        timeout: Slot::from(timeout.and_then(Obj::non_none).cloned()),
        return_when: Slot::from(return_when.cloned()),
        ..Wait::default()
    })
}

/// A future has ended.
pub fn ended(this: &Py<Coroutine<Wait>>, future: &Obj) -> PyResult<()> {
    let wait = this.routine();
    wait.left.set(wait.left.get().saturating_sub(1));
    let enough = match wait.until.get() {
        _ if wait.left.get() == 0 => true,
        Until::AllCompleted => false,
        Until::FirstCompleted => true,
        Until::FirstException => failed(future)?,
    };
    if enough {
        wait.take_alarm_back();
        let waiter = wait.waiter.get_or_none();
        if let Some(waiter) = Py::<Future>::from_exact(&waiter)
            && waiter.future().is_pending()
        {
            return waiter.future().set_result(waiter.as_obj(), &Obj::none());
        }
    }
    Ok(())
}

/// [`ended`] as a Python callable.
pub fn ended_function(this: &Py<Coroutine<Wait>>) -> PyResult<Obj> {
    ENDED.get().0.bind(this)
}

fn failed(future: &Obj) -> PyResult<bool> {
    match Awaited::from_exact(future) {
        Some(native) if native.core().state() == State::Cancelled => Ok(false),
        Some(native) => Ok(native.core().exception()?.is_some()),
        None => Ok(false),
    }
}

impl Wait {
    /// The futures, each once, if all are native, and when the wait shall end.
    fn suits(&self, futures: &Obj) -> PyResult<Option<(Rc<[Awaited]>, Until)>> {
        let until = match self.return_when.get() {
            None => Until::AllCompleted,
            Some(given) => {
                let known = [Until::AllCompleted, Until::FirstException, Until::FirstCompleted];
                let mut found = None;
                for (constant, until) in stock().wait_constants.iter().zip(known) {
                    if given.is(constant) {
                        found = Some(until);
                    }
                }
                let Some(until) = found else { return Ok(None) };
                until
            }
        };
        if !futures.is_plain_collection() {
            return Ok(None);
        }
        let each_once = Obj::set_of(futures)?;
        let all = each_once.collect()?;
        let native: Vec<_> = all.iter().filter_map(Awaited::from_exact).collect();
        if native.is_empty() || native.len() != all.len() {
            return Ok(None);
        }
        Ok(Some((native.into(), until)))
    }

    fn take_alarm_back(&self) {
        if let Some(key) = self.key.take()
            && let Some(event_loop) = self.event_loop.get()
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
        {
            native.take_alarm_back(key);
        }
    }

    /// Waits natively if the loop and everything else suit.
    fn wait(&self, this: &Py<Coroutine<Self>>, futures: &Obj) -> PyResult<Option<Step>> {
        let event_loop = running_loop_or_raise()?;
        let timeout = self.timeout.get();
        let seconds = timeout.as_ref().and_then(Obj::plain_number);
        if timeout.is_some() && seconds.is_none_or(f64::is_nan) {
            return Ok(None);
        }
        let Some(native) = Py::<NativeLoop>::from_instance(&event_loop) else { return Ok(None) };
        if !NativeLoop::keeps_time_natively(native) {
            return Ok(None);
        }
        let Some((watched, until)) = self.suits(futures)? else { return Ok(None) };
        let waiter = Future::make(native)?;
        self.waiter.set(Some(waiter.as_obj().clone()));
        self.event_loop.set(Some(event_loop.clone()));
        if let Some(seconds) = seconds {
            let alarm = Alarm::Complete(waiter.clone(), Obj::none());
            let when = Instant::now().as_secs_f64() + seconds;
            self.key.set(Some(native.set_alarm(when, alarm)));
        }
        self.until.set(until);
        self.left.set(watched.len());
        let former = self.watched.replace(watched.clone());
        drop(former);
        #[cfg(Py_3_14)]
        self.task.set(current_task(&event_loop)?);
        for one in watched.iter() {
            #[cfg(Py_3_14)]
            if let Some(task) = self.task.get() {
                Asyncio::get().registry.add_awaited_by.call2(one.as_obj(), &task)?;
            }
            let observer = Observer::Wait(this.clone());
            one.core().add_callback(one.as_obj(), Callback::Observer(observer))?;
        }
        Ok(Some(Step::Wait(waiter.into_obj())))
    }

    /// Watches the futures no longer.
    #[cfg_attr(
        not(Py_3_14),
        expect(clippy::unnecessary_wraps, reason = "fails from 3.14 on, where futures are told")
    )]
    fn end(&self, this: &Py<Coroutine<Self>>) -> PyResult<Rc<[Awaited]>> {
        self.take_alarm_back();
        let watched = self.watched.take();
        let observer = Observer::Wait(this.clone());
        for one in watched.iter() {
            if one.core().is_pending() {
                one.core().remove_observer(&observer);
            }
            #[cfg(Py_3_14)]
            if let Some(task) = self.task.get() {
                Asyncio::get().registry.discard_awaited_by.call2(one.as_obj(), &task)?;
            }
        }
        Ok(watched)
    }

    fn slots(&self) -> [&Slot; 6] {
        let Self { futures, timeout, return_when, waiter, event_loop, task, .. } = self;
        [futures, timeout, return_when, waiter, event_loop, task]
    }
}

impl Routine for Wait {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_wait";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &WAIT
    }

    fn qualname(&self) -> &'static str {
        "wait"
    }

    fn begin(&self, this: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let futures = self.futures.take().unwrap_or_else(Obj::none);
        if let Some(step) = self.wait(this, &futures)? {
            return Ok(step);
        }
        let timeout = self.timeout.get_or_none();
        let return_when = self.return_when.get();
        let return_when = return_when.as_ref().unwrap_or(&stock().wait_constants[0]);
        let (function, names) = (&stock().wait, &stock().wait_keywords);
        function.call_keywords(Some(&futures), names, [&timeout, return_when]).map(Step::Wait)
    }

    fn resume(&self, this: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        if !self.waiter.is_some() {
            // The interpreter's coroutine has waited.
            return outcome.map(Step::Done).map_err(Raised::restore);
        }
        let watched = self.end(this)?;
        if let Err(exception) = outcome {
            return Err(Raised::restore(exception));
        }
        let (done, pending) = (Obj::set()?, Obj::set()?);
        for one in watched.iter() {
            let set = if one.core().is_pending() { &pending } else { &done };
            set.set_add(one.as_obj())?;
        }
        Obj::tuple(&[done, pending]).map(Step::Done)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| visitor.slot(slot));
        if let Ok(watched) = self.watched.try_borrow() {
            watched.iter().for_each(|one| visitor.obj(one.as_obj()));
        }
    }

    fn clear(&self) {
        self.take_alarm_back();
        self.slots().into_iter().for_each(|slot| slot.set(None));
        let watched = self.watched.take();
        drop(watched);
    }
}
