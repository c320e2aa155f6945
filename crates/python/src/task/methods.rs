//! Methods and properties of tasks.

use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::ffi::method::{Methods, Properties};
use crate::ffi::names::Name;
use crate::ffi::{Args, Obj, Py, PyResult, Raised};
use crate::future;

use super::Task;

fn uncancel(this: &Py<Task>) -> PyResult<Obj> {
    let requested = this.cancels_requested.get().saturating_sub(1);
    if cfg!(Py_3_13) && requested == 0 && this.cancels_requested.get() > 0 {
        this.must_cancel.set(false);
    }
    this.cancels_requested.set(requested);
    count(requested)
}

fn count(value: u64) -> PyResult<Obj> {
    Obj::int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The values of keyword-only parameters.
fn named<'a, const N: usize>(
    args: &Args<'a>,
    method: &CStr,
    names: [&Name; N],
) -> PyResult<[Option<&'a Obj>; N]> {
    args.only_named("", names)
        .map_err(|raised| future::in_asyncios_words(&Asyncio::get().task, method, args, raised))
}

fn get_stack(this: &Py<Task>, args: &Args<'_>) -> PyResult<Obj> {
    let [limit] = named(args, c"get_stack", [&names().limit])?;
    let helper = Asyncio::get().base_tasks.attr(c"_task_get_stack")?;
    helper.call2(this.as_obj(), &limit.cloned().unwrap_or_else(Obj::none))
}

fn print_stack(this: &Py<Task>, args: &Args<'_>) -> PyResult<Obj> {
    let [limit, file] = named(args, c"print_stack", [&names().limit, &names().file])?;
    let helper = Asyncio::get().base_tasks.attr(c"_task_print_stack")?;
    let or_none = |value: Option<&Obj>| value.cloned().unwrap_or_else(Obj::none);
    helper.call_with(&[this.as_obj(), &or_none(limit), &or_none(file)])
}

/// The table of methods.
pub fn methods() -> Methods<Task> {
    future::methods(Methods::new())
        .args(c"cancel", CANCEL, |this: &Py<Task>, args: &Args<'_>| {
            let [message] = future::cancel_arguments(args)?;
            this.cancel(message)
        })
        .noargs(
            c"cancelling",
            c"cancelling($self, /)\n--\n\nReturn how many cancellations were requested and not taken back.",
            |this: &Py<Task>| count(this.cancels_requested.get()),
        )
        .noargs(
            c"uncancel",
            c"uncancel($self, /)\n--\n\nTake back one request to cancel; return how many are left.",
            uncancel,
        )
        .one(c"set_result", c"set_result($self, result, /)\n--\n\nNot supported.", |_: &Py<Task>, _: &Obj| {
            Err::<(), _>(Raised::runtime_error("Task does not support set_result operation"))
        })
        .one(c"set_exception", c"set_exception($self, exception, /)\n--\n\nNot supported.", |_: &Py<Task>, _: &Obj| {
            Err::<(), _>(Raised::runtime_error("Task does not support set_exception operation"))
        })
        .noargs(c"get_coro", c"get_coro($self, /)\n--\n\nReturn the coroutine.", |this: &Py<Task>| Ok(this.coro.get()))
        .noargs(c"get_context", c"get_context($self, /)\n--\n\nReturn the context it runs in.", |this: &Py<Task>| {
            Ok(this.context.get())
        })
        .noargs(c"get_name", c"get_name($self, /)\n--\n\nReturn the name.", |this: &Py<Task>| this.name())
        .one(c"set_name", c"set_name($self, value, /)\n--\n\nSet the name; it is made a str.", |this: &Py<Task>, name: &Obj| {
            Task::set_name(this, Some(name))
        })
        .args(c"get_stack", GET_STACK, get_stack)
        .args(c"print_stack", PRINT_STACK, print_stack)
}

/// The table of properties.
pub fn properties() -> Properties<Task> {
    future::properties(Properties::new())
        .flag(c"_log_destroy_pending", |this: &Py<Task>| &this.log_destroy_pending)
        .get(c"_must_cancel", |this: &Py<Task>| Ok(this.must_cancel.get()))
        .get(c"_num_cancels_requested", |this: &Py<Task>| count(this.cancels_requested.get()))
        .get(c"_coro", |this: &Py<Task>| Ok(this.coro.get()))
        .get(c"_fut_waiter", |this: &Py<Task>| Ok(this.waiter.get()))
}

const CANCEL: &CStr = c"cancel($self, /, msg=None)\n--\n\n\
    Ask the task to end: CancelledError is raised in its coroutine.";
const GET_STACK: &CStr = c"get_stack($self, /, *, limit=None)\n--\n\n\
    Return the frames where the coroutine waits, or of its exception's traceback.";
const PRINT_STACK: &CStr = c"print_stack($self, /, *, limit=None, file=None)\n--\n\n\
    Print the frames that get_stack() returns.";
