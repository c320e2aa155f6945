//! Whose clock the timers of a loop go by.
//!
//! Role: asyncio's loop asks its own `time()`, which asks `time.monotonic()`, and sets timers by its
//! own `call_at()`. Programs replace these, mostly tests that let time pass as they like. Native
//! code reads the system's clock, and goes by the replaced one as soon as there is one.
//!
//! Thread: the loop's.

use batuta_engine::clock::Instant;

use crate::asyncio::names;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::Name;
use crate::ffi::watch::Watched;
use crate::ffi::{Obj, Py, PyResult};

use super::{NativeLoop, Past};

/// `time.monotonic`
static MONOTONIC: Global<Watched> = Global::new();

/// `time()`
pub fn time() -> PyResult<Obj> {
    if MONOTONIC.get().is_original() {
        return Obj::float(Instant::now().as_secs_f64());
    }
    MONOTONIC.get().get()?.call0()
}

impl NativeLoop {
    /// Looks up what may be replaced.
    pub fn load_clock() -> PyResult<()> {
        MONOTONIC.set(Watched::new(&import(c"time")?, Name::intern(c"monotonic")?)?);
        Ok(())
    }

    /// Whether the loop's time is the system's, and nobody wants to see its timers.
    #[inline]
    pub fn goes_by_system_clock(this: &Py<Self>) -> bool {
        MONOTONIC.get().is_original() && Self::may_go_past(this, Past::Clock)
    }

    /// The loop's time in seconds.
    pub fn seconds(this: &Py<Self>) -> PyResult<f64> {
        if Self::goes_by_system_clock(this) {
            return Ok(Instant::now().as_secs_f64());
        }
        this.as_obj().call_method0(&names().time)?.to_f64()
    }

    /// The loop's time where the system's is `now`.
    #[inline]
    pub(super) fn time_of_timers(this: &Py<Self>, now: Instant) -> PyResult<Instant> {
        if Self::goes_by_system_clock(this) { Ok(now) } else { Self::replaced_time(this) }
    }

    #[cold]
    fn replaced_time(this: &Py<Self>) -> PyResult<Instant> {
        Ok(Instant::at_or_after(Self::seconds(this)?))
    }
}
