//! Reading a future that has ended, of whatever class.

use crate::asyncio::{Asyncio, names};
use crate::ffi::{Obj, PyResult};
use crate::future::{Awaited, State};

use super::lookups::stock;

/// The loop that a future is bound to.
pub fn loop_of(future: &Obj) -> PyResult<Obj> {
    match Awaited::from_exact(future) {
        Some(native) => native.core().event_loop(),
        None => stock().get_loop.call1(future),
    }
}

/// `future.done()`.
pub fn is_done(future: &Obj) -> PyResult<bool> {
    match Awaited::from_exact(future) {
        Some(native) => Ok(!native.core().is_pending()),
        None => future.call_method0(&names().done)?.is_true(),
    }
}

/// `future.cancelled()`.
pub fn is_cancelled(future: &Obj) -> PyResult<bool> {
    match Awaited::from_exact(future) {
        Some(native) => Ok(native.core().state() == State::Cancelled),
        None => future.call_method0(&stock().names.cancelled)?.is_true(),
    }
}

/// The exception of a future that was not cancelled, which counts as seen from now on.
pub fn exception(future: &Obj) -> PyResult<Option<Obj>> {
    match Awaited::from_exact(future) {
        Some(native) => native.core().exception(),
        None => Ok(future.call_method0(&names().exception)?.non_none().cloned()),
    }
}

/// `future._make_cancelled_error()`.
pub fn cancelled_error(future: &Obj) -> PyResult<Obj> {
    match Awaited::from_exact(future) {
        Some(native) => native.core().make_cancelled_error(),
        None => future.call_method0(&stock().names._make_cancelled_error),
    }
}

/// What a future ended in if it was no result; a cancellation counts.
pub fn failure(future: &Obj) -> PyResult<Option<Obj>> {
    if is_cancelled(future)? { cancelled_error(future).map(Some) } else { exception(future) }
}

/// Whatever a future ended in, as a value.
pub fn value(future: &Obj) -> PyResult<Obj> {
    if is_cancelled(future)? {
        let message = match Awaited::from_exact(future) {
            Some(native) => native.core().cancel_message(),
            None => Some(future.getattr(&stock().names._cancel_message)?),
        };
        let message = match message.as_ref().and_then(Obj::non_none) {
            Some(message) => message.clone(),
            None => Obj::str("")?,
        };
        return Asyncio::get().cancelled_error.call1(&message);
    }
    if let Some(exception) = exception(future)? {
        return Ok(exception);
    }
    result(future)
}

/// `future.result()`
pub fn result(future: &Obj) -> PyResult<Obj> {
    match Awaited::from_exact(future) {
        Some(native) => native.core().result(),
        None => future.call_method0(&names().result),
    }
}

/// Whatever exception the future has, somebody knows of it.
pub fn mark_seen(future: &Obj) -> PyResult<()> {
    if is_cancelled(future)? { Ok(()) } else { exception(future).map(drop) }
}
