//! How a future comes to its outcome, and who asks for it.

use crate::asyncio::Asyncio;
use crate::ffi::exception::runtime_error;
use crate::ffi::{Obj, PyResult, Raised};

use super::{FutureCore, State, UNINITIALIZED};

/// What waiting for a future brings.
#[derive(Debug)]
pub enum Outcome {
    /// The result.
    Result(Obj),
    /// The exception that was set.
    Exception(Obj),
}

impl FutureCore {
    /// Sets the result and schedules the callbacks of `this`.
    pub fn set_result(&self, this: &Obj, result: &Obj) -> PyResult<()> {
        self.check_pending()?;
        self.result.set(Some(result.clone()));
        self.state.set(State::Finished);
        self.schedule_callbacks(this)
    }

    /// Sets an exception and schedules the callbacks of `this`.
    pub fn set_exception(&self, this: &Obj, given: &Obj) -> PyResult<()> {
        self.check_pending()?;
        let mut exception = if given.is_exception_class() { given.call0()? } else { given.clone() };
        self.check_pending()?;
        if !exception.is_exception() {
            return Err(Raised::type_error("invalid exception object"));
        }
        let converts = Asyncio::get().converts_stop_iteration;
        if exception.is_stop_iteration(!converts) {
            const REFUSED: &str =
                "StopIteration interacts badly with generators and cannot be raised into a Future";
            if !converts {
                return Err(Raised::type_error(REFUSED));
            }
            let wrapped = runtime_error(REFUSED)?;
            wrapped.set_cause(&exception);
            exception = wrapped;
        }
        self.exception_traceback.set(exception.traceback());
        self.exception.set(Some(exception));
        self.state.set(State::Finished);
        self.schedule_callbacks(this)?;
        self.log_traceback.set(true);
        Ok(())
    }

    fn check_pending(&self) -> PyResult<()> {
        if self.is_pending() {
            return Ok(());
        }
        Err(Raised::with_message(&Asyncio::get().invalid_state_error, "invalid state"))
    }

    /// Cancels, unless there is an outcome; says whether it did.
    pub fn cancel(&self, this: &Obj, message: Option<Obj>) -> PyResult<bool> {
        self.log_traceback.set(false);
        if !self.is_pending() {
            return Ok(false);
        }
        self.state.set(State::Cancelled);
        self.cancel_message.set(message);
        self.schedule_callbacks(this)?;
        Ok(true)
    }

    /// Keeps the exception that ended a cancelled task.
    pub fn keep_cancelled_exception(&self, exception: Obj) {
        self.cancelled_exception.set(Some(exception));
    }

    /// Keeps the message for the cancellation to come.
    pub fn set_cancel_message(&self, message: Option<Obj>) {
        self.cancel_message.set(message);
    }

    /// The message of the cancellation.
    pub fn cancel_message(&self) -> Option<Obj> {
        self.cancel_message.get()
    }

    /// The `CancelledError` to raise.
    pub fn make_cancelled_error(&self) -> PyResult<Obj> {
        if let Some(kept) = self.cancelled_exception.take() {
            return Ok(kept);
        }
        let class = &Asyncio::get().cancelled_error;
        match self.cancel_message.get() {
            Some(message) if !message.is_none() => class.call1(&message),
            _ => class.call0(),
        }
    }

    /// The outcome, which counts as seen from then on; cancelled and pending
    /// futures raise.
    pub fn outcome(&self) -> PyResult<Outcome> {
        self.check_finished("Result is not set.")?;
        self.log_traceback.set(false);
        if let Some(exception) = self.exception.get() {
            let traceback = self.exception_traceback.take();
            exception.set_traceback(traceback.as_ref())?;
            return Ok(Outcome::Exception(exception));
        }
        Ok(Outcome::Result(self.result.get_or_none()))
    }

    /// `result()`.
    pub fn result(&self) -> PyResult<Obj> {
        match self.outcome()? {
            Outcome::Result(result) => Ok(result),
            Outcome::Exception(exception) => Err(Raised::raise(&exception)),
        }
    }

    /// `exception()`.
    pub fn exception(&self) -> PyResult<Option<Obj>> {
        self.check_finished("Exception is not set.")?;
        self.log_traceback.set(false);
        Ok(self.exception.get())
    }

    fn check_finished(&self, otherwise: &str) -> PyResult<()> {
        match self.state.get() {
            State::Finished => Ok(()),
            State::Cancelled => Err(Raised::raise(&self.make_cancelled_error()?)),
            State::Pending => {
                let message = if self.is_alive() { otherwise } else { UNINITIALIZED };
                Err(Raised::with_message(&Asyncio::get().invalid_state_error, message))
            }
        }
    }
}
