//! Where asyncio keeps its tasks: all of them, and the one that runs.
//!
//! Before 3.14 `all_tasks()` reads a `WeakSet`, and putting a task into it costs more than
//! the rest of its making. Therefore tasks are listed here first, and go into that set when
//! somebody looks at it: `batuta.task_set` makes it ask [`take_unregistered`]. From 3.14 on
//! the interpreter keeps such a list itself.

use crate::asyncio::Asyncio;
use crate::event_loop::NativeLoop;
#[cfg(not(Py_3_14))]
use crate::ffi::roster::Roster;
use crate::ffi::{NativeType, Obj, Py, PyResult, Raised};

use super::Task;

#[cfg(not(Py_3_14))]
static UNREGISTERED: Roster = Roster::new();

/// `all_tasks()` shall know it.
#[cfg(not(Py_3_14))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "fails from 3.14 on")]
pub fn register(task: &Py<Task>) -> PyResult<()> {
    UNREGISTERED.add(task, |task| &task.link);
    Ok(())
}

/// `all_tasks()` shall know it.
#[cfg(Py_3_14)]
pub fn register(task: &Py<Task>) -> PyResult<()> {
    Asyncio::get().registry.register.call1(task.as_obj()).map(drop)
}

/// `all_tasks()` shall know it no longer. Before 3.14 asyncio's set holds tasks weakly, and
/// leaves finished ones out.
#[cfg(not(Py_3_14))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "fails from 3.14 on")]
pub fn forget(task: &Py<Task>) -> PyResult<()> {
    task.link.leave();
    Ok(())
}

/// `all_tasks()` shall know it no longer.
#[cfg(Py_3_14)]
pub fn forget(task: &Py<Task>) -> PyResult<()> {
    Asyncio::get().registry.unregister.call1(task.as_obj()).map(drop)
}

/// The tasks that asyncio's set has not seen; from now on it has.
#[cfg(not(Py_3_14))]
pub fn take_unregistered() -> Vec<Obj> {
    UNREGISTERED.take_all()
}

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

/// `task` becomes the current one of its loop, unless there is one.
#[cfg(not(Py_3_14))]
#[inline]
fn enter(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    let registry = &Asyncio::get().registry;
    let free = registry.current.dict_insert_new(event_loop, task.as_obj())?;
    // Raises, in asyncio's words.
    if free { Ok(()) } else { registry.enter.call2(event_loop, task.as_obj()).map(drop) }
}

/// No task is the current one of the loop any more; `task` has been.
#[cfg(not(Py_3_14))]
#[inline]
fn leave(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    let registry = &Asyncio::get().registry;
    match registry.current.dict_get(event_loop)? {
        Some(current) if current.is(task.as_obj()) => registry.current.dict_remove(event_loop),
        // Raises, in asyncio's words.
        _ => registry.leave.call2(event_loop, task.as_obj()).map(drop),
    }
}

/// `task` becomes the current one of its loop; another one is.
#[cfg(not(Py_3_14))]
#[inline]
fn replace(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    Asyncio::get().registry.current.dict_insert(event_loop, task.as_obj())
}

/// `task` becomes the current one of its loop, unless there is one.
#[cfg(Py_3_14)]
fn enter(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    Asyncio::get().registry.enter.call2(event_loop, task.as_obj()).map(drop)
}

/// No task is the current one of the loop any more; `task` has been.
#[cfg(Py_3_14)]
fn leave(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    Asyncio::get().registry.leave.call2(event_loop, task.as_obj()).map(drop)
}

/// `task` becomes the current one of its loop; another one is.
#[cfg(Py_3_14)]
fn replace(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    Asyncio::get().registry.swap_current.call2(event_loop, task.as_obj()).map(drop)
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
