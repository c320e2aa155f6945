//! Whose clock the timers of a loop go by.
//!
//! Role: asyncio's loop asks its own `time()`, which asks `time.monotonic()`, and sets timers by its
//! own `call_at()`. Programs replace these, mostly tests that let time pass as they like. Native
//! code reads the system's clock, and goes by the replaced one as soon as there is one.
//!
//! A replaced clock may tell what an [`Instant`] can: 0 to 1.8e10 seconds.
//!
//! Thread: the loop's.

use batuta_engine::clock::Instant;

use crate::asyncio::{Asyncio, names};
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::Name;
use crate::ffi::watch::Watched;
use crate::ffi::{Obj, Py, PyResult};

use super::{NativeLoop, Past};

/// `time.monotonic`
static MONOTONIC: Global<Watched> = Global::new();
/// The module `time`, as `asyncio.base_events` has it.
static MODULE: Global<Watched> = Global::new();

/// Whether asyncio's own `time()` would read the system's clock.
#[inline]
fn is_systems() -> bool {
    MONOTONIC.get().is_original() && MODULE.get().is_original()
}

/// `time()`
pub fn time() -> PyResult<Obj> {
    if is_systems() {
        return Obj::float(Instant::now().as_secs_f64());
    }
    MODULE.get().get()?.attr(c"monotonic")?.call0()
}

impl NativeLoop {
    /// Looks up what may be replaced.
    pub fn load_clock() -> PyResult<()> {
        MONOTONIC.set(Watched::new(&import(c"time")?, Name::intern(c"monotonic")?)?);
        MODULE.set(Watched::new(&Asyncio::get().base_events, Name::intern(c"time")?)?);
        Ok(())
    }

    /// Whether the loop's time is the system's, and nobody wants to see its timers.
    #[inline]
    pub fn goes_by_system_clock(this: &Py<Self>) -> bool {
        is_systems() && Self::may_go_past(this, Past::Clock)
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
        if Self::goes_by_system_clock(this) { Ok(now) } else { Self::replaced_time(this, 0.0) }
    }

    /// What is due where the system's time is `now`. A replaced clock may stand still a rounding
    /// error before a timer: as in asyncio's loop, its resolution is added.
    #[inline]
    pub(super) fn due_by(this: &Py<Self>, now: Instant) -> PyResult<Instant> {
        if Self::goes_by_system_clock(this) {
            return Ok(now);
        }
        let resolution = this.as_obj().attr(c"_clock_resolution")?.to_f64()?;
        let due_by = Self::replaced_time(this, resolution)?;
        Ok(due_by.min(Instant(Instant::FAR.0 - 1)))
    }

    #[cold]
    fn replaced_time(this: &Py<Self>, later: f64) -> PyResult<Instant> {
        Ok(Instant::at_or_after(Self::seconds(this)? + later))
    }
}
