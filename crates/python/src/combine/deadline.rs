//! A time by which the current task shall be through: what timeouts are made of.
//!
//! ```text
//! Created --enter--> Entered --the time has come--> Expiring --leave--> Expired
//!                       `-----------------leave-------------------------> Exited
//! ```
//!
//! When the time has come the task is cancelled. Whether that cancellation becomes a
//! `TimeoutError` is found out when the task leaves.
//!
//! Invariant: at most one timer is set, an alarm of a native loop (`key`) or a handle.
//! `number` is that of the last alarm; an alarm with another number was taken back.

use std::cell::Cell;

use batuta_engine::clock::Instant;
use batuta_engine::timers::TimerKey;

use crate::asyncio::names;
use crate::event_loop::{NativeLoop, Ready};
use crate::ffi::{Obj, Py, PyResult, Raised, Slot, Visitor, context};
use crate::task::{Task, cancel_natively};

use super::Alarm;
use super::lookups::{current_task, stock};

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not entered.
    #[default]
    Created,
    /// Inside.
    Entered,
    /// The task was cancelled because the time had come.
    Expiring,
    /// Left after the time had come.
    Expired,
    /// Left in time.
    Exited,
}

/// The deadline of a task.
#[derive(Debug, Default)]
pub struct Deadline {
    pub state: Cell<State>,
    pub task: Slot,
    /// That in which the alarm was set, where the task is not native.
    context: Slot,
    /// How many requests to cancel the task had when it entered.
    pub cancelling: Cell<i64>,
    /// The timer on any other loop, or in debug mode.
    pub handle: Slot,
    /// The native loop that has the alarm.
    event_loop: Slot,
    key: Cell<Option<TimerKey>>,
    number: Cell<u32>,
}

impl Deadline {
    /// The current task of the loop enters.
    pub fn enter(&self, event_loop: &Obj) -> PyResult<()> {
        let Some(task) = current_task(event_loop)? else {
            return Err(Raised::runtime_error("Timeout should be used inside a task"));
        };
        self.cancelling.set(cancelling(&task)?);
        self.state.set(State::Entered);
        self.task.set(Some(task));
        Ok(())
    }

    /// Sets the alarm that `make` makes of a number; one that is due goes off soon.
    pub fn arm(&self, event_loop: &Py<NativeLoop>, when: f64, make: impl FnOnce(u32) -> Alarm) {
        let number = self.number.get().wrapping_add(1);
        self.number.set(number);
        let alarm = make(number);
        if !self.has_native_task()
            && let Ok(context) = context::copy_current().map_err(Raised::clear)
        {
            self.context.set(Some(context));
        }
        if when <= Instant::now().as_secs_f64() {
            event_loop.push(Ready::Alarm(alarm));
            return;
        }
        self.key.set(Some(event_loop.set_alarm(when, alarm)));
        self.event_loop.set(Some(event_loop.as_obj().clone()));
    }

    fn has_native_task(&self) -> bool {
        self.task.get().is_some_and(|task| Py::<Task>::from_instance(&task).is_some())
    }

    /// Whether an alarm of a native loop is set.
    pub fn is_armed(&self) -> bool {
        self.key.get().is_some()
    }

    /// Takes the timer back.
    pub fn disarm(&self) -> PyResult<()> {
        self.number.set(self.number.get().wrapping_add(1));
        if let Some(event_loop) = self.event_loop.take()
            && let Some(key) = self.key.take()
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
        {
            native.take_alarm_back(key);
        }
        match self.handle.take() {
            Some(handle) => handle.call_method0(&names().cancel).map(drop),
            None => Ok(()),
        }
    }

    /// The time of the alarm with this number has come.
    pub fn ring(&self, number: u32) -> PyResult<()> {
        if self.number.get() != number || self.state.get() != State::Entered {
            return Ok(());
        }
        self.key.set(None);
        self.event_loop.set(None);
        // As a callback of the task's would: a `cancel()` of the program's may look.
        let context = match self.task.get().as_ref().and_then(Py::<Task>::from_instance) {
            Some(task) => Some(context::copy(&task.context())?),
            None => self.context.take(),
        };
        match context {
            Some(context) => context::run_in(&context, || self.expire()),
            None => self.expire(),
        }
    }

    /// The time has come.
    pub fn expire(&self) -> PyResult<()> {
        if let Some(task) = self.task.get() {
            cancel(&task)?;
        }
        self.state.set(State::Expiring);
        self.handle.set(None);
        Ok(())
    }

    /// Shows the objects to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.task, &self.context, &self.handle, &self.event_loop] {
            visitor.slot(slot);
        }
    }

    /// Lets go of the objects.
    pub fn clear(&self) {
        for slot in [&self.task, &self.context, &self.handle, &self.event_loop] {
            slot.set(None);
        }
    }
}

/// `task.cancelling()`
fn cancelling(task: &Obj) -> PyResult<i64> {
    match Py::<Task>::from_exact(task) {
        Some(native) => Ok(i64::try_from(native.cancels_requested()).unwrap_or(i64::MAX)),
        None => task.call_method0(&stock().names.cancelling)?.to_i64(),
    }
}

/// `task.cancel()`, without an argument: a subclass's may take none.
fn cancel(task: &Obj) -> PyResult<()> {
    cancel_natively(task, None).map_or_else(
        || task.call_method0(&names().cancel).map(drop),
        |cancelled| cancelled.map(drop),
    )
}
