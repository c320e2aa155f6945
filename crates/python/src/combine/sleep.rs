//! `sleep()`.
//!
//! Nothing but a bare `yield` if there is no time to wait; else a future that the loop's
//! timers complete.

use std::cell::Cell;
use std::ffi::CStr;

use batuta_engine::clock::Instant;
use batuta_engine::timers::TimerKey;

use crate::asyncio::{Asyncio, names};
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::{NativeLoop, running_loop_or_raise};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::future::Future;

use super::Alarm;
use super::lookups::stock;

/// A `sleep()`.
#[derive(Debug)]
pub struct Sleep {
    delay: Slot,
    result: Slot,
    /// The native loop that has our alarm, or the handle of any other loop.
    timer: Slot,
    key: Cell<Option<TimerKey>>,
}

static SLEEP: TypeCell = TypeCell::new();

/// `sleep(delay, result=None)`
pub fn sleep(args: &Args<'_>) -> PyResult<Obj> {
    let names = &stock().names;
    let (delay, result) = match args.bind("sleep", 0, [&names.delay, &names.result]) {
        Ok([Some(delay), result]) => (delay, result),
        Ok(_) => return args.forward_all(&stock().sleep),
        Err(raised) => {
            // Python's own words for it.
            raised.clear();
            return args.forward_all(&stock().sleep);
        }
    };
    Coroutine::make(Sleep {
        delay: Slot::from(delay.clone()),
        result: Slot::from(result.cloned()),
        timer: Slot::default(),
        key: Cell::new(None),
    })
}

impl Sleep {
    #[cold]
    fn wait_as_stock(&self, event_loop: &Obj, delay: &Obj) -> PyResult<Step> {
        let future = event_loop.call_method0(&stock().names.create_future)?;
        let callback = &Asyncio::get().set_result_unless_cancelled;
        let call_later = event_loop.getattr(&names().call_later)?;
        let result = self.result.get_or_none();
        let handle = call_later.call_with(&[delay, callback, &future, &result])?;
        self.timer.set(Some(handle));
        Ok(Step::Wait(future))
    }

    fn wait(&self, delay: &Obj, seconds: Option<f64>) -> PyResult<Step> {
        #[cfg(Py_3_13)]
        if seconds.map_or_else(|| stock().isnan.call1(delay)?.is_true(), |it| Ok(it.is_nan()))? {
            return Err(Raised::value_error("Invalid delay: NaN (not a number)"));
        }
        let event_loop = running_loop_or_raise()?;
        if let Some(seconds) = seconds
            && !seconds.is_nan()
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
            && NativeLoop::keeps_time_natively(native)
        {
            let made = NativeLoop::create_future(native)?;
            if let Some(future) = Py::<Future>::from_exact(&made) {
                let when = Instant::now().as_secs_f64() + seconds;
                let alarm = Alarm::Complete(future.clone(), self.result.get_or_none());
                self.key.set(Some(native.set_alarm(when, alarm)));
                self.timer.set(Some(event_loop));
                return Ok(Step::Wait(made));
            }
        }
        self.wait_as_stock(&event_loop, delay)
    }

    fn end_wait(&self, timer: &Obj) -> PyResult<()> {
        match (self.key.take(), Py::<NativeLoop>::from_instance(timer)) {
            (Some(key), Some(native)) => {
                native.take_alarm_back(key);
                Ok(())
            }
            _ => timer.call_method0(&names().cancel).map(drop),
        }
    }
}

impl Routine for Sleep {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_sleep";
    const POOL: usize = 256;

    fn cell() -> &'static TypeCell {
        &SLEEP
    }

    fn qualname(&self) -> &'static str {
        "sleep"
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(delay) = self.delay.take() else { return Ok(Step::Pass) };
        let seconds = delay.plain_number();
        let at_once = match seconds {
            Some(seconds) => seconds <= 0.0,
            None => delay.is_at_most(&Obj::int(0)?)?,
        };
        if at_once { Ok(Step::Pass) } else { self.wait(&delay, seconds) }
    }

    #[inline]
    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let timer = self.timer.take();
        if let Some(timer) = &timer {
            self.end_wait(timer)?;
        }
        match outcome {
            Ok(_) if timer.is_none() => Ok(Step::Done(self.result.get_or_none())),
            Ok(result) => Ok(Step::Done(result)),
            Err(exception) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.delay, &self.result, &self.timer] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.delay, &self.result, &self.timer] {
            slot.set(None);
        }
    }
}
