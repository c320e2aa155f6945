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
pub mod hooks;
mod lock;
mod lookups;
mod number;
mod queue;
mod semaphore;
pub mod waiter;

use std::ffi::CStr;

use crate::ffi::native::define;
use crate::ffi::{Obj, PyResult};

pub use condition::NativeCondition;
pub use deque::Deque;
pub use event::NativeEvent;
pub use lock::NativeLock;
pub use queue::NativeQueue;
pub use semaphore::NativeSemaphore;

/// Makes the classes.
pub fn load(add: impl Fn(&'static CStr, &Obj) -> PyResult<()>) -> PyResult<()> {
    lookups::Lookups::load()?;
    add(c"NativeEvent", &event::prepare(define::<NativeEvent>(None)?)?)?;
    add(c"NativeLock", &lock::prepare(define::<NativeLock>(None)?)?)?;
    add(c"NativeSemaphore", &semaphore::prepare(define::<NativeSemaphore>(None)?)?)?;
    add(c"NativeCondition", &condition::prepare(define::<NativeCondition>(None)?)?)?;
    add(c"NativeQueue", &queue::prepare(define::<NativeQueue>(None)?)?)
}
