//! `wait_for()`, from 3.12 on: the awaitable is awaited by the current task itself, under
//! a deadline.
//!
//! A timeout of zero or less, unusual numbers and loops that keep time in another way are
//! the interpreter's business, as is what an expired deadline makes of an exception.

use std::ffi::CStr;

use batuta_engine::clock::Instant;

use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::{NativeLoop, running_loop_or_raise};
use crate::ffi::call::Sent;
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::Alarm;
use super::deadline::{Deadline, State};
use super::lookups::stock;

/// A `wait_for()`.
#[derive(Debug)]
pub struct WaitFor {
    pub(super) deadline: Deadline,
    awaitable: Slot,
    timeout: Slot,
}

static WAIT_FOR: TypeCell = TypeCell::new();

/// `wait_for(fut, timeout)`
pub fn wait_for(args: &Args<'_>) -> PyResult<Obj> {
    let names = &stock().names;
    match args.bind("wait_for", 0, [&names.fut, &names.timeout]) {
        Ok([Some(awaitable), Some(timeout)]) => Coroutine::make(WaitFor {
            deadline: Deadline::default(),
            awaitable: Slot::from(awaitable.clone()),
            timeout: Slot::from(timeout.clone()),
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
    /// The time was over when the awaitable ended.
    #[cold]
    fn expired(&self, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let none = Obj::none();
        let timeout = stock().stock_timeout.call1(&none)?;
        timeout.setattr(&stock().names._state, &stock().timeout_states[2])?;
        timeout.setattr(&stock().names._task, &self.deadline.task.get_or_none())?;
        let cancelling = Obj::int(self.deadline.cancelling.get())?;
        timeout.setattr(&stock().names._cancelling, &cancelling)?;
        let leave = |class: &Obj, exception: &Obj, traceback: &Obj| {
            let exit = &stock().timeout_exit;
            match exit.call_with(&[&timeout, class, exception, traceback])?.send(&none)? {
                Sent::Returned(suppressed) => suppressed.is_true(),
                Sent::Yielded(_) => Err(Raised::runtime_error("Timeout.__aexit__() has yielded")),
            }
        };
        match outcome {
            Ok(value) => leave(&none, &none, &none).map(|_| Step::Done(value)),
            Err(exception) => {
                let traceback = exception.traceback().unwrap_or_else(Obj::none);
                match leave(&exception.class(), &exception, &traceback) {
                    Ok(true) => Ok(Step::Done(none)),
                    Ok(false) => Err(Raised::restore(exception)),
                    Err(raised) => {
                        let own = raised.take();
                        if !own.is(&exception) {
                            own.set_context(&exception);
                        }
                        Err(Raised::restore(own))
                    }
                }
            }
        }
    }
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

    fn begin(&self, this: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let (awaitable, timeout) = (self.awaitable.take(), self.timeout.take());
        let (Some(awaitable), Some(timeout)) = (awaitable, timeout) else {
            return Ok(Step::Done(Obj::none()));
        };
        let seconds = timeout.plain_number().filter(|seconds| *seconds > 0.0);
        let event_loop = if seconds.is_some() || timeout.is_none() {
            running_loop_or_raise()?
        } else {
            Obj::none()
        };
        match (seconds, Py::<NativeLoop>::from_instance(&event_loop)) {
            (Some(seconds), Some(native)) if NativeLoop::keeps_time_natively(native) => {
                self.deadline.enter(&event_loop)?;
                let when = Instant::now().as_secs_f64() + seconds;
                self.deadline.arm(native, when, |number| Alarm::WaitFor(this.clone(), number));
            }
            _ if timeout.is_none() => self.deadline.enter(&event_loop)?,
            _ => return stock().wait_for.call2(&awaitable, &timeout).map(Step::Wait),
        }
        Ok(Step::Wait(awaitable))
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        self.deadline.disarm()?;
        if self.deadline.state.get() == State::Expiring {
            return self.expired(outcome);
        }
        outcome.map(Step::Done).map_err(Raised::restore)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.deadline.traverse(visitor);
        visitor.slot(&self.awaitable);
        visitor.slot(&self.timeout);
    }

    fn clear(&self) {
        // An alarm that is still set holds the coroutine, so there is none here.
        self.deadline.clear();
        self.awaitable.set(None);
        self.timeout.set(None);
    }
}
