//! Where asyncio keeps its tasks: all of them, and the one that runs.

use crate::asyncio::Asyncio;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::Task;

/// `all_tasks()` shall know it.
pub fn register(task: &Py<Task>) -> PyResult<()> {
    Asyncio::get().registry.register.call1(task.as_obj()).map(drop)
}

/// `all_tasks()` shall know it no longer. Before 3.14 it holds tasks weakly, and
/// leaves finished ones out.
#[cfg_attr(not(Py_3_14), expect(clippy::unnecessary_wraps, reason = "fails from 3.14 on"))]
pub fn forget(task: &Py<Task>) -> PyResult<()> {
    #[cfg(Py_3_14)]
    Asyncio::get().registry.unregister.call1(task.as_obj())?;
    let _ = task;
    Ok(())
}

/// Runs `body` while `task` is the current one of its loop.
pub fn while_current<R>(
    task: &Py<Task>,
    event_loop: &Obj,
    body: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let registry = &Asyncio::get().registry;
    registry.enter.call2(event_loop, task.as_obj())?;
    let result = body();
    finally(result, || registry.leave.call2(event_loop, task.as_obj()).map(drop))
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
