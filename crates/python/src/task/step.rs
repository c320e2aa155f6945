//! A task's step: send into the coroutine, look at what it gives back.

use crate::asyncio::{Asyncio, names};
use crate::event_loop::{NativeLoop, Ready};
use crate::ffi::call::Sent;
use crate::ffi::exception::runtime_error;
use crate::ffi::{Obj, Py, PyResult, Raised};
use crate::future::{Awaited, FutureCore, Outcome};

#[cfg(Py_3_14)]
use super::base_fields;
use super::wrapper::TaskStep;
use super::{Task, cancel_waiter, registry};

/// How stock names the step in a message.
const STEP: &str = if cfg!(Py_3_14) { "__step()" } else { "_step()" };

impl Task {
    /// Schedules a step that throws `exception` or sends nothing.
    pub(super) fn schedule_step(this: &Py<Self>, exception: Option<Obj>) -> PyResult<()> {
        if let Some(event_loop) = this.core.fast_loop() {
            event_loop.push(Ready::Step(this.clone(), exception));
            return Ok(());
        }
        let event_loop = this.core.event_loop()?;
        let step = TaskStep::make(this, exception)?;
        let keyword = &Asyncio::get().context_keyword;
        event_loop.call_method_with(&names().call_soon, [&step], keyword, &this.context()).map(drop)
    }

    /// The future that the task waits for is done.
    pub fn wakeup(this: &Py<Self>, future: &Obj) -> PyResult<()> {
        #[cfg(Py_3_14)]
        base_fields::waits_no_longer(this, future)?;
        Self::step(this, exception_of(future))
    }

    /// The same as an entry of the loop's queue.
    #[inline]
    pub fn wakeup_in_turn(
        this: &Py<Self>,
        event_loop: &Py<NativeLoop>,
        future: &Obj,
    ) -> PyResult<()> {
        #[cfg(Py_3_14)]
        base_fields::waits_no_longer(this, future)?;
        Self::step_in_turn(this, event_loop, exception_of(future))
    }

    /// A step, as the current task of its loop.
    pub fn step(this: &Py<Self>, exception: Option<Obj>) -> PyResult<()> {
        let event_loop = this.core.event_loop()?;
        registry::while_current(this, &event_loop, || Self::run_coroutine(this, exception))
    }

    /// The same as an entry of the loop's queue.
    #[inline]
    pub fn step_in_turn(
        this: &Py<Self>,
        event_loop: &Py<NativeLoop>,
        exception: Option<Obj>,
    ) -> PyResult<()> {
        registry::while_current_in_turn(this, event_loop, || Self::run_coroutine(this, exception))
    }

    pub(super) fn run_coroutine(this: &Py<Self>, exception: Option<Obj>) -> PyResult<()> {
        if !this.core.is_pending() {
            let exception = exception.unwrap_or_else(Obj::none);
            let class = &Asyncio::get().invalid_state_error;
            return Err(Raised::with_message(
                class,
                &format!(
                    "{STEP}: already done: {} {}",
                    this.as_obj().repr_lossy(),
                    exception.repr_lossy()
                ),
            ));
        }
        let exception = this.exception_to_throw(exception)?;
        this.waiter.set(None);
        let Some(coro) = this.coro.get() else {
            return Err(Raised::runtime_error("uninitialized Task object"));
        };
        let sent = match exception {
            None => coro.send(&Obj::none()),
            Some(exception) => coro.throw(&names().throw, &exception),
        };
        match sent {
            Ok(Sent::Yielded(yielded)) => this.look_at(this, &yielded),
            Ok(Sent::Returned(result)) => {
                this.finish(this.as_obj(), &result)?;
                registry::forget(this)
            }
            Err(raised) => this.fail(this, raised),
        }
    }

    /// A cancellation that is due takes the place of any other exception.
    fn exception_to_throw(&self, exception: Option<Obj>) -> PyResult<Option<Obj>> {
        if !self.must_cancel.get() {
            return Ok(exception);
        }
        let cancels = match &exception {
            Some(exception) => exception.is_instance(&Asyncio::get().cancelled_error)?,
            None => false,
        };
        let exception = if cancels { exception } else { Some(self.core.make_cancelled_error()?) };
        self.must_cancel.set(false);
        Ok(exception)
    }

    /// The coroutine has returned.
    fn finish(&self, this: &Obj, result: &Obj) -> PyResult<()> {
        if self.must_cancel.replace(false) {
            // Cancelled right before it returned.
            let message = self.core.cancel_message();
            return self.core.cancel(this, message).map(drop);
        }
        self.core.set_result(this, result)
    }

    /// The coroutine has raised.
    #[cold]
    fn fail(&self, this: &Py<Self>, raised: Raised) -> PyResult<()> {
        if raised.matches(&Asyncio::get().cancelled_error) {
            self.core.keep_cancelled_exception(raised.take());
            self.core.cancel(this.as_obj(), None)?;
            return registry::forget(this);
        }
        let exception = raised.take();
        self.core.set_exception(this.as_obj(), &exception)?;
        registry::forget(this)?;
        if exception.escapes_loop() { Err(Raised::restore(exception)) } else { Ok(()) }
    }

    /// The coroutine waits for what it has yielded.
    fn look_at(&self, this: &Py<Self>, yielded: &Obj) -> PyResult<()> {
        if yielded.is(this.as_obj()) {
            let task = this.as_obj().repr_text()?;
            return wrong(this, &format!("Task cannot await on itself: {task}"));
        }
        if let Some(awaited) = Awaited::from_exact(yielded) {
            let core: &FutureCore = awaited.core();
            if !core.belongs_to(&self.core) {
                return different_loop(this, yielded);
            }
            if !core.blocking.replace(false) {
                return yield_without_from(this, yielded);
            }
            core.add_wakeup(yielded, this)?;
            return self.wait_for(this, yielded);
        }
        if yielded.is_none() {
            return Self::schedule_step(this, None);
        }
        match yielded.getattr_or_none(&names()._asyncio_future_blocking)? {
            blocking if !blocking.is_none() => self.wait_for_foreign(this, yielded, &blocking),
            _ if yielded.is_generator() => wrong(
                this,
                &format!(
                    "yield was used instead of yield from for generator in task {} with {}",
                    this.as_obj().repr_text()?,
                    yielded.repr_text()?
                ),
            ),
            _ => wrong(this, &format!("Task got bad yield: {}", yielded.repr_text()?)),
        }
    }

    /// Anything that follows the protocol of futures.
    fn wait_for_foreign(&self, this: &Py<Self>, yielded: &Obj, blocking: &Obj) -> PyResult<()> {
        let blocking = blocking.is_true()?;
        let event_loop = match yielded.getattr_or_none(&names().get_loop)? {
            method if !method.is_none() => method.call0()?,
            _ => yielded.getattr(&names()._loop)?,
        };
        if !event_loop.is(&self.core.event_loop()?) {
            return different_loop(this, yielded);
        }
        if !blocking {
            return yield_without_from(this, yielded);
        }
        yielded.setattr(&names()._asyncio_future_blocking, &Obj::bool(false))?;
        let wakeup = Self::wakeup_function(this)?;
        let keyword = &Asyncio::get().context_keyword;
        let add = &names().add_done_callback;
        yielded.call_method_with(add, [&wakeup], keyword, &self.context())?;
        self.wait_for(this, yielded)
    }

    /// `yielded` will wake the task.
    fn wait_for(&self, this: &Py<Self>, yielded: &Obj) -> PyResult<()> {
        self.waiter.set(Some(yielded.clone()));
        #[cfg(Py_3_14)]
        base_fields::waits(this, yielded)?;
        let _ = this;
        if self.must_cancel.get() && cancel_waiter(yielded, self.core.cancel_message().as_ref())? {
            self.must_cancel.set(false);
        }
        Ok(())
    }
}

/// What a future that is done has to throw into the task that waited for it.
#[inline]
fn exception_of(future: &Obj) -> Option<Obj> {
    let outcome = match Awaited::from_exact(future) {
        Some(awaited) => match awaited.core().outcome() {
            Ok(Outcome::Result(_)) => Ok(()),
            Ok(Outcome::Exception(exception)) => Err(exception),
            Err(raised) => Err(raised.take()),
        },
        None => future.call_method0(&names().result).map(drop).map_err(Raised::take),
    };
    outcome.err()
}

/// The coroutine is told at the next step that it did something wrong.
#[cold]
fn wrong(this: &Py<Task>, message: &str) -> PyResult<()> {
    Task::schedule_step(this, Some(runtime_error(message)?))
}

#[cold]
fn different_loop(this: &Py<Task>, yielded: &Obj) -> PyResult<()> {
    let (task, future) = (this.as_obj().repr_text()?, yielded.repr_text()?);
    wrong(this, &format!("Task {task} got Future {future} attached to a different loop"))
}

#[cold]
fn yield_without_from(this: &Py<Task>, yielded: &Obj) -> PyResult<()> {
    let (task, future) = (this.as_obj().repr_text()?, yielded.repr_text()?);
    wrong(this, &format!("yield was used instead of yield from in task {task} with {future}"))
}
