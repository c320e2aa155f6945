//! Where coroutines were made, for the warning about those that nobody awaits.
//!
//! The interpreter tracks that while a loop in debug mode runs, and says how deep
//! only through a function. Native loops say when, so that it need not be asked
//! for each coroutine.

use std::cell::Cell;

use crate::asyncio::Asyncio;
use crate::ffi::error::runtime_warning;
use crate::ffi::gil::Global;
use crate::ffi::module::{import, is_finalizing};
use crate::ffi::{Obj, PyResult};

/// What this module needs of others.
#[derive(Debug)]
struct Lookups {
    tracking_depth: Obj,
    warn_unawaited: Obj,
    tracked: Cell<bool>,
}

static LOOKUPS: Global<Lookups> = Global::new();

/// Looks it up; once, at import.
pub fn load() -> PyResult<()> {
    LOOKUPS.set(Lookups {
        tracking_depth: import(c"sys")?.attr(c"get_coroutine_origin_tracking_depth")?,
        warn_unawaited: import(c"warnings")?.attr(c"_warn_unawaited_coroutine")?,
        tracked: Cell::new(false),
    });
    Ok(())
}

/// A native loop begins or ends to track origins.
pub fn track(tracked: bool) {
    LOOKUPS.get().tracked.set(tracked);
}

/// Whether coroutines shall know where they were made.
#[inline]
pub(super) fn is_tracked() -> bool {
    LOOKUPS.get().tracked.get()
}

/// Where the running Python code stands, as `coroutine.cr_origin` says it.
#[cold]
pub fn current() -> PyResult<Option<Obj>> {
    let depth = LOOKUPS.get().tracking_depth.call0()?.to_i64()?;
    if depth <= 0 {
        return Ok(None);
    }
    let mut frame = Asyncio::get().getframe.call0()?;
    let mut places = Vec::new();
    for _ in 0..depth {
        if frame.is_none() {
            break;
        }
        let code = frame.attr(c"f_code")?;
        places.push(Obj::tuple(&[
            code.attr(c"co_filename")?,
            frame.attr(c"f_lineno")?,
            code.attr(c"co_name")?,
        ])?);
        frame = frame.attr(c"f_back")?;
    }
    Obj::tuple(&places).map(Some)
}

/// Warns that nobody has awaited `coroutine`.
#[cold]
pub(super) fn warn_unawaited(coroutine: &Obj, qualname: &str) -> PyResult<()> {
    if is_finalizing() {
        // The function imports what can no longer be imported.
        return runtime_warning(&format!("coroutine '{qualname}' was never awaited"));
    }
    LOOKUPS.get().warn_unawaited.call1(coroutine).map(drop)
}
