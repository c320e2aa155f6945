//! How a task comes to be.

use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::coroutine;
use crate::event_loop::NativeLoop;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, context};

use super::{Task, registry};

/// `Task.__doc__`.
#[cfg(Py_3_12)]
pub const DOC: &CStr =
    c"Task(coro, *, loop=None, name=None, context=None, eager_start=False)\n--\n\n\
    A coroutine that runs in an event loop. See asyncio.Task.";
#[cfg(not(Py_3_12))]
/// `Task.__doc__`.
pub const DOC: &CStr = c"Task(coro, *, loop=None, name=None, context=None)\n--\n\n\
    A coroutine that runs in an event loop. See asyncio.Task.";

/// What a task is made of, beside its coroutine.
#[derive(Debug, Default)]
pub struct TaskArgs<'a> {
    /// Its name.
    pub name: Option<&'a Obj>,
    /// Its context.
    pub context: Option<&'a Obj>,
    /// Whether its first step is made at once.
    #[cfg_attr(not(Py_3_12), expect(dead_code, reason = "new in 3.12"))]
    pub eager_start: bool,
}

pub(super) fn init(this: &Py<Task>, args: &Args<'_>) -> PyResult<()> {
    let (coro, event_loop, more) = arguments(args).map_err(|raised| {
        crate::future::in_asyncios_words(&Asyncio::get().task, c"__init__", args, raised)
    })?;
    this.core.init(this.as_obj(), event_loop)?;
    start(this, coro, &more)
}

/// The coroutine, the loop, and the rest.
fn arguments<'a>(args: &Args<'a>) -> PyResult<(&'a Obj, Option<&'a Obj>, TaskArgs<'a>)> {
    let asyncio = Asyncio::get();
    let keywords = [&names().coro, &asyncio.loop_name, &names().name, &names().context];
    #[cfg(Py_3_12)]
    let (coro, event_loop, name, context, eager_start) = {
        let [coro, event_loop, name, context] = keywords;
        let [coro, event_loop, name, context, eager] =
            args.bind("Task", 0, [coro, event_loop, name, context, &names().eager_start])?;
        let eager = eager.map_or(Ok(false), Obj::is_true)?;
        (coro, event_loop, name, context, eager)
    };
    #[cfg(not(Py_3_12))]
    let (coro, event_loop, name, context, eager_start) = {
        let [coro, event_loop, name, context] = args.bind("Task", 0, keywords)?;
        (coro, event_loop, name, context, false)
    };
    if args.positional().len() > 1 {
        let [_] = args.first("Task")?;
    }
    let coro = coro.ok_or_else(|| args.missing("Task", "coro"))?;
    Ok((coro, event_loop, TaskArgs { name, context, eager_start }))
}

impl Task {
    /// A task for a native loop.
    pub fn make(
        event_loop: &Py<NativeLoop>,
        coro: &Obj,
        args: &TaskArgs<'_>,
    ) -> PyResult<Py<Self>> {
        let task = Py::new(Self::default())?;
        task.core.init_native(event_loop)?;
        start(&task, coro, args)?;
        Ok(task)
    }
}

fn start(this: &Py<Task>, coro: &Obj, args: &TaskArgs<'_>) -> PyResult<()> {
    if !coroutine::is_coroutine(coro)? {
        this.log_destroy_pending.set(false);
        return Err(Raised::type_error(&format!(
            "a coroutine was expected, got {}",
            coro.repr_lossy()
        )));
    }
    let context = match args.context.and_then(Obj::non_none) {
        Some(context) if Asyncio::get().checks_init && !context::is_context(context) => {
            this.log_destroy_pending.set(false);
            let class = context.type_name();
            return Err(Raised::type_error(&format!(
                "a contextvars.Context was expected, got {class}"
            )));
        }
        Some(context) => context.clone(),
        None => context::copy_current()?,
    };
    this.context.set(Some(context));
    this.waiter.set(None);
    this.must_cancel.set(false);
    this.cancels_requested.set(0);
    this.log_destroy_pending.set(true);
    this.coro.set(Some(coro.clone()));
    super::base_fields::show_task(this, coro, &this.context());
    Task::set_name(this, args.name.and_then(Obj::non_none))?;
    #[cfg(Py_3_12)]
    if args.eager_start && this.core.event_loop()?.call_method0(&names().is_running)?.is_true()? {
        return start_eagerly(this);
    }
    Task::schedule_step(this, None)?;
    registry::register(this)
}

#[cfg(Py_3_12)]
fn start_eagerly(this: &Py<Task>) -> PyResult<()> {
    let event_loop = this.core.event_loop()?;
    let result = registry::while_eager(this, &event_loop, || {
        context::run_in(&this.context(), || Task::run_coroutine(this, None))
    });
    if this.core.is_pending() {
        let exception = result.map_err(Raised::take);
        registry::register(this)?;
        return exception.map_err(Raised::restore);
    }
    this.coro.set(None);
    super::base_fields::hide_coro(this);
    result
}

impl Task {
    /// Names the task: what is not a str is made one, nothing is given a number.
    pub(super) fn set_name(this: &Py<Self>, name: Option<&Obj>) -> PyResult<()> {
        let name = match name {
            None => None,
            Some(name) if name.is_exact_str() => Some(name.clone()),
            Some(name) => Some(name.to_str()?),
        };
        if name.is_none() {
            this.number.set(next_number());
        }
        #[cfg(Py_3_14)]
        super::base_fields::show_name(
            this,
            match &name {
                Some(name) => name.clone(),
                None => Obj::int(this.number.get().cast_signed())?,
            },
        );
        this.name.set(name);
        Ok(())
    }
}

impl Task {
    /// Leaves a number out, for a task that has got another name since.
    pub fn skip_number() {
        next_number();
    }
}

/// Counts the tasks that get a number for a name. The interpreter's lock guards the count.
fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.load(Ordering::Relaxed) + 1;
    LAST.store(number, Ordering::Relaxed);
    number
}
