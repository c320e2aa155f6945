//! Locks, events, semaphores and queues.
//!
//! Role: the native bases of `batuta.Lock` and its kin. Each public class has one
//! of these types first and asyncio's own class second: what runs often is here,
//! the rest (`repr`, cold methods) is inherited and reads our state through
//! properties that have the names of asyncio's private attributes.
//!
//! What need not wait takes no future and no loop. What waits does as asyncio's
//! class of the same Python version: a future of the loop in a deque, woken in the
//! same order, with the same answer to a cancellation at every point. Differences
//! between versions are `cfg(Py_3_13)` and the like, at the place.
//!
//! Methods that a Python subclass has replaced are called; native paths go around
//! methods only where nobody has replaced them.
//!
//! Ownership: a primitive owns the deque of those who wait; each waiting coroutine
//! owns a reference to the primitive and to its own future.
//!
//! Invariant: no borrow of a deque lasts across anything that may run Python code.
//!
//! Thread: that of the loop, as asyncio demands of its users.

mod binding;
mod condition;
mod deque;
mod event;
mod hooks;
mod lock;
mod lookups;
mod number;
mod queue;
mod semaphore;
mod waiter;

use std::ffi::CStr;

use crate::ffi::method::IntoObj;
use crate::ffi::native::define;
use crate::ffi::{Args, NativeType, Obj, Py, PyResult};

pub use condition::NativeCondition;
pub use event::NativeEvent;
pub use lock::NativeLock;
pub use queue::NativeQueue;
pub use semaphore::NativeSemaphore;

/// Gives `class` a method in the place of one of asyncio's class, `stock`, which it looks like.
/// Objects of asyncio's own class get asyncio's own, and so do arguments that do not fit.
fn add_method<T, F, R>(class: &Obj, stock: &Obj, name: &CStr, method: F) -> PyResult<()>
where
    T: NativeType,
    F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    add_kin_method(class, stock, &[], name, method)
}

/// As above, where asyncio has subclasses (`kin`) that have a method of that name themselves.
fn add_kin_method<T, F, R>(
    class: &Obj,
    stock: &Obj,
    kin: &[Obj],
    name: &CStr,
    method: F,
) -> PyResult<()>
where
    T: NativeType,
    F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    let model = stock.attr_or_none(name)?;
    if model.is_none() {
        return Ok(()); // Some private ones are not in every release.
    }
    let kin = kin
        .iter()
        .map(|class| Ok((class.clone(), class.attr(name)?)))
        .collect::<PyResult<Vec<_>>>()?;
    class.set_attr(name, &model.native_method_of_kin(kin, method)?)
}

/// Makes the classes.
pub fn load(add: impl Fn(&'static CStr, &Obj) -> PyResult<()>) -> PyResult<()> {
    lookups::Lookups::load()?;
    add(c"NativeEvent", &event::prepare(define::<NativeEvent>(None)?)?)?;
    add(c"NativeLock", &lock::prepare(define::<NativeLock>(None)?)?)?;
    add(c"NativeSemaphore", &semaphore::prepare(define::<NativeSemaphore>(None)?)?)?;
    add(c"NativeCondition", &condition::prepare(define::<NativeCondition>(None)?)?)?;
    add(c"NativeQueue", &queue::prepare(define::<NativeQueue>(None)?)?)
}
