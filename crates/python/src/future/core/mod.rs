//! What futures and tasks share: state, outcome (`outcome`: the ways to it and from it), callbacks.
//!
//! Ownership: the future or task owns its core; the core owns its loop, its
//! outcome and its callbacks.
//!
//! Invariants: an outcome (result or exception) is there exactly in the state
//! `Finished`. A core that is no longer pending has no callbacks. No borrow of the
//! callbacks lasts across a call into Python.
//!
//! Thread: that of the loop, as asyncio demands of its users; the interpreter's
//! lock keeps other uses memory-safe.

mod outcome;

use std::cell::{Cell, RefCell};

use crate::asyncio::{Asyncio, names, source_traceback};
use crate::event_loop::NativeLoop;
use crate::ffi::{Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::task::Task;

use super::callbacks::{Callback, Callbacks};

pub use outcome::Outcome;

/// How far a future has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No outcome yet.
    #[default]
    Pending,
    /// Cancelled.
    Cancelled,
    /// There is a result or an exception.
    Finished,
}

impl State {
    /// asyncio's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Cancelled => "CANCELLED",
            Self::Finished => "FINISHED",
        }
    }
}

/// The shared part of futures and tasks.
#[derive(Debug, Default)]
pub struct FutureCore {
    pub(super) event_loop: Slot,
    /// Whether the loop is a native one.
    native: Cell<bool>,
    state: Cell<State>,
    pub(super) callbacks: RefCell<Callbacks>,
    pub(super) result: Slot,
    pub(super) exception: Slot,
    exception_traceback: Slot,
    pub(super) source_traceback: Slot,
    pub(super) cancel_message: Slot,
    cancelled_exception: Slot,
    pub(super) log_traceback: Cell<bool>,
    /// Set by the iterator just before it gives the future to the task.
    pub blocking: Cell<bool>,
    /// Whether the program has put a `cancel` of its own into the instance.
    pub cancel_is_replaced: Cell<bool>,
}

impl FutureCore {
    /// `Future.__init__`.
    pub fn init(&self, this: &Obj, event_loop: Option<&Obj>) -> PyResult<()> {
        if self.is_alive() && Asyncio::get().checks_init {
            // Batuta's own classes go by the names of those that they stand for.
            let class = this.full_type_name()?.replace("batuta._batuta.", "_asyncio.");
            return Err(Raised::runtime_error(&format!("{class} object is already initialized")));
        }
        self.clear();
        self.state.set(State::Pending);
        self.log_traceback.set(false);
        self.blocking.set(false);
        let event_loop = match event_loop {
            Some(event_loop) if !event_loop.is_none() => event_loop.clone(),
            _ => Asyncio::get().get_event_loop.call0()?,
        };
        let native = Py::<NativeLoop>::from_instance(&event_loop);
        self.native.set(native.is_some());
        let debug = match native {
            Some(native) if NativeLoop::schedules_natively(native) => native.debug.get(),
            _ => event_loop.call_method0(&names().get_debug)?.is_true()?,
        };
        self.event_loop.set(Some(event_loop));
        if debug && !crate::ffi::module::is_finalizing() {
            self.source_traceback.set(Some(source_traceback()?));
        }
        Ok(())
    }

    /// For futures that a native loop makes for itself.
    pub fn init_native(&self, event_loop: &Py<NativeLoop>) -> PyResult<()> {
        self.event_loop.set(Some(event_loop.as_obj().clone()));
        self.native.set(true);
        if event_loop.debug.get() {
            self.source_traceback.set(Some(source_traceback()?));
        }
        Ok(())
    }

    /// The loop; an error before `__init__` has run.
    pub fn event_loop(&self) -> PyResult<Obj> {
        self.event_loop.get().ok_or_else(|| Raised::runtime_error(UNINITIALIZED))
    }

    /// The loop, if entries may be put into its queue directly: it is native, open,
    /// not in debug mode, and nobody has replaced its `call_soon`.
    #[inline]
    pub fn fast_loop(&self) -> Option<Py<NativeLoop>> {
        if !self.native.get() {
            return None;
        }
        let event_loop = Py::<NativeLoop>::take_instance(self.event_loop.get()?)?;
        let open = !event_loop.debug.get() && !event_loop.is_closed();
        (open && NativeLoop::schedules_natively(&event_loop)).then_some(event_loop)
    }

    /// Whether the loop is exactly this one.
    #[inline]
    pub fn belongs_to(&self, other: &Self) -> bool {
        self.event_loop.same(&other.event_loop)
    }

    /// Whether `__init__` has run.
    pub fn is_alive(&self) -> bool {
        self.event_loop.is_some()
    }

    /// An error before `__init__` has run.
    #[inline]
    pub fn check_alive(&self) -> PyResult<()> {
        if self.is_alive() { Ok(()) } else { Err(Raised::runtime_error(UNINITIALIZED)) }
    }

    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Whether there is no outcome yet.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.state.get() == State::Pending
    }

    /// Whether it was cancelled.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.state.get() == State::Cancelled
    }

    /// An attribute of the instance was set or deleted.
    pub fn assigned(&self, name: &Obj) {
        if name.is(names().cancel.as_obj()) {
            self.cancel_is_replaced.set(true);
        }
    }

    /// Whether there is an exception that nobody has seen.
    pub fn log_traceback(&self) -> bool {
        self.log_traceback.get()
    }

    /// Adds a callback of `this`, or schedules it if there is an outcome.
    pub fn add_callback(&self, this: &Obj, callback: Callback) -> PyResult<()> {
        if self.is_pending() {
            self.callbacks.borrow_mut().push(callback);
            return Ok(());
        }
        callback.schedule(self, this)
    }

    /// Adds or schedules the wake-up of `task`: the callback that most futures have.
    #[inline]
    pub fn add_wakeup(&self, this: &Obj, task: &Py<Task>) -> PyResult<()> {
        if self.is_pending() {
            self.callbacks.borrow_mut().push_wakeup(task);
            return Ok(());
        }
        Callback::Wakeup(task.clone()).schedule(self, this)
    }

    fn schedule_callbacks(&self, this: &Obj) -> PyResult<()> {
        match self.callbacks.take() {
            Callbacks::None => Ok(()),
            Callbacks::One(callback) => callback.schedule(self, this),
            Callbacks::Many(callbacks) => {
                callbacks.into_iter().try_for_each(|callback| callback.schedule(self, this))
            }
        }
    }

    /// Reports an exception that nobody has asked for; called when `this` dies.
    pub fn finalize(&self, this: &Obj) -> PyResult<()> {
        if !self.log_traceback.replace(false) {
            return Ok(());
        }
        let (Some(exception), Some(event_loop)) = (self.exception.get(), self.event_loop.get())
        else {
            return Ok(());
        };
        let message = format!("{} exception was never retrieved", this.type_name());
        let context = Obj::dict()?;
        // In stock's order: a handler that fails is reported with the whole of it.
        context.dict_set(&names().message, &Obj::str(&message)?)?;
        context.dict_set(&names().exception, &exception)?;
        context.dict_set(&names().future, this)?;
        if let Some(traceback) = self.source_traceback.get() {
            context.dict_set(&names().source_traceback, &traceback)?;
        }
        event_loop.call_method1(&names().call_exception_handler, &context).map(drop)
    }

    /// Whether it has ended in an exception, cancellations aside.
    #[inline]
    pub fn has_exception(&self) -> bool {
        self.exception.is_some()
    }

    /// Whatever exception there is, somebody knows of it.
    pub fn log_seen(&self) {
        self.log_traceback.set(false);
    }

    /// Where it was made, in debug mode.
    pub fn source_traceback(&self) -> Option<Obj> {
        self.source_traceback.get()
    }

    fn slots(&self) -> [&Slot; 7] {
        [
            &self.event_loop,
            &self.result,
            &self.exception,
            &self.exception_traceback,
            &self.source_traceback,
            &self.cancel_message,
            &self.cancelled_exception,
        ]
    }

    /// Shows the objects to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| visitor.slot(slot));
        if let Ok(callbacks) = self.callbacks.try_borrow() {
            callbacks.iter().for_each(|callback| callback.traverse(visitor));
        }
    }

    /// Lets go of the objects.
    pub fn clear(&self) {
        self.slots().into_iter().for_each(|slot| slot.set(None));
        self.native.set(false);
        drop(self.callbacks.take());
    }
}

const UNINITIALIZED: &str = "Future object is not initialized.";
