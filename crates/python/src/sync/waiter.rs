//! The futures that coroutines wait with, native or not.

use crate::asyncio::names;
use crate::ffi::method::Properties;
use crate::ffi::{NativeType, Obj, Py, PyResult};
use crate::future::Awaited;

use super::deque::Deque;
use super::lookups::own_names;

/// `waiter.done()`
#[inline]
pub fn is_done(waiter: &Obj) -> PyResult<bool> {
    match Awaited::from_exact(waiter) {
        Some(native) => Ok(!native.core().is_pending()),
        None => waiter.call_method0(&names().done)?.is_true(),
    }
}

/// `waiter.cancelled()`
#[inline]
pub fn is_cancelled(waiter: &Obj) -> PyResult<bool> {
    match Awaited::from_exact(waiter) {
        Some(native) => Ok(native.core().is_cancelled()),
        None => waiter.call_method0(&own_names().cancelled)?.is_true(),
    }
}

/// `waiter.set_result(value)`
#[inline]
pub fn wake(waiter: &Obj, value: &Obj) -> PyResult<()> {
    match Awaited::from_exact(waiter) {
        Some(native) => native.core().set_result(waiter, value),
        None => waiter.call_method1(&names().set_result, value).map(drop),
    }
}

/// `waiter.set_exception(exception)`
#[cold]
pub fn fail(waiter: &Obj, exception: &Obj) -> PyResult<()> {
    match Awaited::from_exact(waiter) {
        Some(native) => native.core().set_exception(waiter, exception),
        None => waiter.call_method1(&names().set_exception, exception).map(drop),
    }
}

/// `waiter.cancel()`
#[cold]
pub fn cancel(waiter: &Obj) -> PyResult<()> {
    waiter.call_method0(&names().cancel).map(drop)
}

/// Takes waiters off a deque until one was not done, which is woken.
#[inline]
pub fn wake_next(waiters: &Deque) -> PyResult<()> {
    while !waiters.is_empty()? {
        let Some(waiter) = waiters.pop(false)? else { break };
        if !is_done(&waiter)? {
            return wake(&waiter, &Obj::none());
        }
    }
    Ok(())
}

/// A type that keeps those who wait in one deque.
pub trait HasWaiters: NativeType {
    /// The deque.
    fn waiters(&self) -> &Deque;
}

/// Adds `_waiters` to a table.
pub fn properties<T: HasWaiters>(properties: Properties<T>) -> Properties<T> {
    properties.get_set(
        c"_waiters",
        |this: &Py<T>| this.waiters().show(),
        |this: &Py<T>, waiters: &Obj| {
            this.waiters().replace(waiters);
            Ok(())
        },
    )
}
