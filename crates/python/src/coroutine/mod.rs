//! Coroutines without a frame: awaitables written in Rust.
//!
//! Role: a [`Routine`] says what is done at the beginning and after each `await`;
//! a [`Coroutine`] of it is the Python object, which behaves as a coroutine object
//! does: `send`, `throw`, `close`, the warning that nobody has awaited it, and so
//! on. asyncio takes it wherever it takes a coroutine.
//!
//! Ownership: a coroutine owns its routine and, while it waits, what it waits for.
//! When it has ended it lets go of what the routine holds, as a frame does.
//!
//! States ([`Phase`]):
//!
//! ```text
//! Created --send--> Running --Step::Wait, Step::Pass--> Waiting --send, throw--> Running
//!    |                 `--Step::Done, error--> Finished
//!    `--throw, close-------------------------> Finished
//! ```
//!
//! Waiting for a native future or task needs no iterator: the future itself is
//! given to the task, with the mark that tells it from a bare `yield`. Everything
//! else is waited for through the iterator that `await` would use, and what is
//! sent or thrown in goes there.
//!
//! Invariant: while a routine runs, its coroutine is `Running`, so that it is never
//! entered twice. An exception that is thrown in, a cancellation above all, reaches
//! the routine as the outcome of what it waits for.
//!
//! Thread: any one that holds the interpreter's lock.
//!
//! Files: this one is the state machine; `object` shows it to Python; `ready` is what the loop
//! calls for those that wait for a descriptor; `origin` is where coroutines say they were made.
//! `ffi/function/` has the functions and methods that return them: callables that look like the
//! `async def` functions whose place they take.

mod base;
mod object;
mod origin;
mod ready;
mod wrapper;

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::names;
use crate::ffi::call::Sent;
use crate::ffi::error::{generator_exit_class, stop_iteration_class};
use crate::ffi::exception::runtime_error;
use crate::ffi::native::TypeCell;
use crate::ffi::recursion::deeper;
use crate::ffi::{Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::future::Awaited;

pub use base::{define, is_coroutine, is_coroutine_by_type};
pub use origin::{load, track};
pub use ready::WhenReady;
pub use wrapper::Wrapper;

/// What a routine does next.
#[derive(Debug)]
pub enum Step {
    /// It returns.
    Done(Obj),
    /// `await` of any awaitable.
    Wait(Obj),
    /// A bare `yield`: goes on in the next turn.
    Pass,
    /// `await` of an iterator that has been entered already and has yielded this.
    Join(Obj, Obj),
}

/// What a coroutine does. Everything takes `&self`: what changes is in cells and
/// slots.
pub trait Routine: Sized + 'static {
    /// Dotted name of the type of its coroutines.
    const TYPE: &'static CStr;
    /// How many dead coroutines are kept for reuse.
    const POOL: usize = 256;
    /// Where the type of its coroutines is kept.
    fn cell() -> &'static TypeCell;
    /// `__qualname__`, such as `Lock.acquire`.
    fn qualname(&self) -> &'static str;
    /// From the beginning to the first `await`.
    fn begin(&self, this: &Py<Coroutine<Self>>) -> PyResult<Step>;
    /// From one `await` to the next; `outcome` is the value or the exception that
    /// the former one has brought.
    fn resume(&self, this: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step>;
    /// The descriptor that [`WhenReady`] was given to the loop for is ready.
    fn ready(&self, _this: &Py<Coroutine<Self>>) -> PyResult<()> {
        Ok(())
    }
    /// Shows every object that it holds to the collector.
    fn traverse(&self, visitor: &mut Visitor);
    /// Lets go of every object; called at the end, or by the collector.
    fn clear(&self);
}

/// How far a coroutine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has awaited it.
    Created,
    /// Inside of its routine, or of what it waits for.
    Running,
    /// It has yielded.
    Waiting,
    /// It has returned or raised.
    Finished,
}

impl Phase {
    /// As `inspect.getcoroutinestate` names it.
    fn name(self) -> &'static str {
        match self {
            Self::Created => "CORO_CREATED",
            Self::Running => "CORO_RUNNING",
            Self::Waiting => "CORO_SUSPENDED",
            Self::Finished => "CORO_CLOSED",
        }
    }
}

/// A routine as a Python object.
#[derive(Debug)]
pub struct Coroutine<R> {
    phase: Cell<Phase>,
    /// What it waits for: a native future, or the iterator of anything else;
    /// nothing after a bare `yield`.
    awaited: Slot,
    /// Where it was made, in debug mode.
    origin: Slot,
    routine: R,
}

impl<R: Routine> Coroutine<R> {
    /// A coroutine that has not begun.
    #[inline]
    pub fn make(routine: R) -> PyResult<Obj> {
        let this = Py::new(Self {
            phase: Cell::new(Phase::Created),
            awaited: Slot::default(),
            origin: Slot::default(),
            routine,
        })?;
        if origin::is_tracked() {
            this.origin.set(origin::current()?);
        }
        Ok(this.into_obj())
    }

    /// The routine.
    pub fn routine(&self) -> &R {
        &self.routine
    }

    /// `coroutine.send(value)`
    #[inline]
    fn send(this: &Py<Self>, value: &Obj) -> PyResult<Sent> {
        match this.phase.get() {
            Phase::Created if value.is_none() => {
                this.phase.set(Phase::Running);
                Self::go_on(this, this.routine.begin(this))
            }
            Phase::Created => {
                Err(Raised::type_error("can't send non-None value to a just-started coroutine"))
            }
            Phase::Waiting => {
                this.phase.set(Phase::Running);
                let outcome = match this.awaited.get() {
                    None => Ok(value.clone()),
                    Some(awaited) => match ask(&awaited, value) {
                        Ok(Sent::Yielded(yielded)) => return Ok(this.wait(yielded)),
                        Ok(Sent::Returned(result)) => Ok(result),
                        Err(raised) => Err(raised.take()),
                    },
                };
                Self::reenter(this, outcome)
            }
            phase => Err(refused(phase)),
        }
    }

    /// `coroutine.throw(exception)`
    fn throw(this: &Py<Self>, exception: Obj) -> PyResult<Sent> {
        match this.phase.get() {
            Phase::Created => {
                this.finish();
                Err(Raised::restore(exception))
            }
            Phase::Waiting => {
                this.phase.set(Phase::Running);
                let outcome = match this.awaited.get() {
                    Some(awaited) if Awaited::from_exact(&awaited).is_none() => {
                        match throw_into(&awaited, exception) {
                            Ok(Sent::Yielded(yielded)) => return Ok(this.wait(yielded)),
                            Ok(Sent::Returned(result)) => Ok(result),
                            Err(raised) => Err(raised.take()),
                        }
                    }
                    _ => Err(exception),
                };
                Self::reenter(this, outcome)
            }
            phase => Err(refused(phase)),
        }
    }

    /// `coroutine.close()`
    fn close(this: &Py<Self>) -> PyResult<()> {
        match this.phase.get() {
            Phase::Running => Err(refused(Phase::Running)),
            Phase::Created | Phase::Finished => {
                this.finish();
                Ok(())
            }
            Phase::Waiting => match Self::throw(this, generator_exit_class().call0()?) {
                Ok(Sent::Returned(_)) => Ok(()),
                Ok(Sent::Yielded(_)) => {
                    Err(Raised::runtime_error("coroutine ignored GeneratorExit"))
                }
                Err(raised) => raised
                    .catch(generator_exit_class())
                    .or_else(|raised| raised.catch(stop_iteration_class())),
            },
        }
    }

    /// What it waited for has come to an end.
    fn reenter(this: &Py<Self>, outcome: Result<Obj, Obj>) -> PyResult<Sent> {
        this.awaited.set(None);
        Self::go_on(this, this.routine.resume(this, outcome))
    }

    /// Does what the routine has said, until it waits or ends.
    #[inline]
    fn go_on(this: &Py<Self>, mut step: PyResult<Step>) -> PyResult<Sent> {
        loop {
            let awaitable = match step {
                Ok(Step::Done(value)) => {
                    this.finish();
                    return Ok(Sent::Returned(value));
                }
                Ok(Step::Pass) => return Ok(this.wait(Obj::none())),
                Ok(Step::Join(iterator, yielded)) => {
                    this.awaited.set(Some(iterator));
                    return Ok(this.wait(yielded));
                }
                Ok(Step::Wait(awaitable)) => awaitable,
                Err(raised) => return Err(this.failed(raised)),
            };
            let asked = match Awaited::from_exact(&awaitable) {
                Some(_) => {
                    let asked = ask(&awaitable, &Obj::none());
                    this.awaited.set(Some(awaitable));
                    asked
                }
                None => awaitable.awaitable_iter().and_then(|iterator| {
                    this.awaited.set(Some(iterator.clone()));
                    deeper(AWAITING, || iterator.send(&Obj::none()))
                }),
            };
            let outcome = match asked {
                Ok(Sent::Yielded(yielded)) => return Ok(this.wait(yielded)),
                Ok(Sent::Returned(result)) => Ok(result),
                Err(raised) => Err(raised.take()),
            };
            this.awaited.set(None);
            step = this.routine.resume(this, outcome);
        }
    }

    #[inline]
    fn wait(&self, yielded: Obj) -> Sent {
        self.phase.set(Phase::Waiting);
        Sent::Yielded(yielded)
    }

    /// The end: lets go of everything.
    #[inline]
    fn finish(&self) {
        self.phase.set(Phase::Finished);
        self.awaited.set(None);
        self.routine.clear();
    }

    /// The end by an exception, which is handed on.
    #[cold]
    fn failed(&self, raised: Raised) -> Raised {
        let mut exception = raised.take();
        self.finish();
        if exception.is_stop_iteration(false)
            && let Ok(wrapped) = runtime_error("coroutine raised StopIteration")
        {
            wrapped.set_cause(&exception);
            exception = wrapped;
        }
        Raised::restore(exception)
    }
}

/// Why a coroutine cannot be entered.
#[cold]
fn refused(phase: Phase) -> Raised {
    match phase {
        Phase::Running => Raised::value_error("coroutine already executing"),
        _ => Raised::runtime_error("cannot reuse already awaited coroutine"),
    }
}

/// Sends to what a coroutine waits for.
#[inline]
fn ask(awaited: &Obj, value: &Obj) -> PyResult<Sent> {
    let Some(native) = Awaited::from_exact(awaited) else {
        return deeper(AWAITING, || awaited.send(value));
    };
    let core = native.core();
    if !core.is_pending() {
        return core.result().map(Sent::Returned);
    }
    core.check_alive()?;
    if core.blocking.replace(true) {
        return Err(Raised::runtime_error("await wasn't used with future"));
    }
    Ok(Sent::Yielded(awaited.clone()))
}

/// Throws into the iterator that a coroutine waits for.
fn throw_into(iterator: &Obj, exception: Obj) -> PyResult<Sent> {
    let close = exception.is_instance(generator_exit_class())?;
    let name = if close { &names().close } else { &names().throw };
    let method = iterator.getattr_or_none(name)?;
    if close {
        // A generator closes what it delegates to, and is then closed itself.
        if !method.is_none() {
            deeper(AWAITING, || method.call0())?;
        }
        return Err(Raised::restore(exception));
    }
    if method.is_none() {
        return Err(Raised::restore(exception));
    }
    deeper(AWAITING, || iterator.throw(&names().throw, &exception))
}

/// Where a chain of coroutines was too long.
const AWAITING: &CStr = c" while awaiting a coroutine";
