//! Where asyncio keeps its tasks: all of them, and the one that runs. Where that is differs by
//! version: `sets` before 3.14, `threads` from then on.
//!
//! Thread: the loop's.

#[cfg(not(Py_3_14))]
mod sets;
#[cfg(Py_3_14)]
mod threads;

#[cfg(Py_3_12)]
use crate::asyncio::Asyncio;
use crate::event_loop::NativeLoop;
use crate::ffi::{NativeType, Obj, Py, PyResult, Raised};

use super::Task;
#[cfg(not(Py_3_14))]
use sets::{enter, leave, replace};
#[cfg(not(Py_3_14))]
pub use sets::{forget, register, take_unregistered};
#[cfg(Py_3_14)]
use threads::{enter, leave, replace};
#[cfg(Py_3_14)]
pub use threads::{forget, prepare, register};

/// Runs `body` while `task` is the current one of its loop.
#[inline]
pub fn while_current<R>(
    task: &Py<Task>,
    event_loop: &Obj,
    body: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    enter(task, event_loop)?;
    let result = body();
    finally(result, || leave(task, event_loop))
}

/// The same for a step that a native loop makes, which then goes on to its next entry: that
/// may be a step as well, so the task is left when it turns out not to be one ([`settle`]).
#[inline]
pub fn while_current_in_turn(
    task: &Py<Task>,
    event_loop: &Py<NativeLoop>,
    body: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    match event_loop.lingering.take() {
        None => enter(task, event_loop.as_obj())?,
        Some(former) if former.is(task.as_obj()) => {}
        Some(_) => replace(task, event_loop.as_obj())?,
    }
    let result = body();
    // What is not told on the task's end may run Python code, which must not find it here.
    if result.is_ok() && (task.core.is_pending() || task.ends_quietly()) {
        event_loop.lingering.set(Some(task.as_obj().clone()));
        return Ok(());
    }
    finally(result, || leave(task, event_loop.as_obj()))
}

/// Leaves the task whose step is over, before anything else runs than a step.
#[inline]
pub fn settle(event_loop: &Py<NativeLoop>) -> PyResult<()> {
    if event_loop.lingering.is_some() { leave_last(event_loop) } else { Ok(()) }
}

/// Leaves the task whose step is over, before a step of `next`, if it would die with that:
/// its finalizers must find no task running, and not be in the context of `next`.
#[inline]
pub fn settle_unless_needed(event_loop: &Py<NativeLoop>, next: &Py<Task>) -> PyResult<()> {
    // asyncio's note and ours are two.
    let dies = (1..=2).contains(&event_loop.lingering.references());
    if dies && !event_loop.lingering.holds(next.as_obj()) {
        return leave_last(event_loop);
    }
    Ok(())
}

#[cold]
fn leave_last(event_loop: &Py<NativeLoop>) -> PyResult<()> {
    let Some(last) = event_loop.lingering.take() else { return Ok(()) };
    let Some(task) = Py::<Task>::from_instance(&last) else { return Ok(()) };
    leave(task, event_loop.as_obj())
        .or_else(|raised| event_loop.native_step_failed(raised, task, None))
}

/// Runs `body`, the first step of a task that starts inside another one.
#[cfg(Py_3_12)]
pub fn while_eager<R>(
    task: &Py<Task>,
    event_loop: &Obj,
    body: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let registry = &Asyncio::get().registry;
    let former = registry.swap_current.call2(event_loop, task.as_obj())?;
    let result = registry.register_eager.call1(task.as_obj()).and_then(|_| {
        let result = body();
        finally(result, || registry.unregister_eager.call1(task.as_obj()).map(drop))
    });
    finally(result, || registry.swap_current.call2(event_loop, &former).map(drop))
}

/// Runs `last` whatever `result` is. If both fail, the first exception becomes the
/// context of the second.
fn finally<R>(result: PyResult<R>, last: impl FnOnce() -> PyResult<()>) -> PyResult<R> {
    match result {
        Ok(value) => last().map(|()| value),
        Err(raised) => {
            let exception = raised.take();
            match last() {
                Ok(()) => Err(Raised::restore(exception)),
                Err(raised) => {
                    let second = raised.take();
                    second.set_context(&exception);
                    Err(Raised::restore(second))
                }
            }
        }
    }
}
