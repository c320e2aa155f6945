//! `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`, and making
//! futures and tasks.

use std::ffi::CStr;

use batuta_engine::clock::Instant;
use batuta_engine::timers::TimerKey;

use crate::asyncio::{Asyncio, names};
use crate::combine::Alarm;
use crate::ffi::method::Methods;
use crate::ffi::{Args, Obj, Py, PyResult, Raised};
use crate::future::Future;
use crate::handle::{Core, Handle, TimerHandle, parse};
use crate::task::{Task, TaskArgs};

use super::c_task::is_task_step;
use super::entry::Entry;
use super::ready::Due;
use super::ready::TaskStep;
use super::{NativeLoop, Past, Ready};

impl NativeLoop {
    /// Schedules a callback for the next turn, in `context` or a copy of the
    /// current one.
    pub fn schedule(
        this: &Py<Self>,
        callback: &Obj,
        args: &[Obj],
        context: Option<&Obj>,
    ) -> PyResult<Py<Handle>> {
        let handle = this.make_handle(Handle(Core::new(this, callback, args, context)?))?;
        if this.debug.get() {
            handle.0.trace()?;
        }
        let result = Py::clone(&handle);
        this.push(Ready::Handle(handle));
        Ok(result)
    }

    /// Puts an entry at the end of the queue.
    #[expect(
        clippy::inline_always,
        reason = "the parts of what is scheduled stay in registers only so"
    )]
    #[inline(always)]
    pub fn push(&self, entry: Ready) {
        self.ready.borrow_mut().push(Entry::from(entry));
    }

    /// Whether nothing is queued, for this turn or the next, and nobody has stopped the loop.
    #[inline]
    pub fn has_nothing_else_to_do(&self) -> bool {
        self.ready.borrow().is_empty() && !self.stopping.get()
    }

    /// What debug mode checks of a callback.
    #[cold]
    fn check_debug(this: &Py<Self>, callback: &Obj, function: &str) -> PyResult<()> {
        if function != "call_soon_threadsafe" {
            this.as_obj().call_method0(&names()._check_thread)?;
        }
        let function = Obj::str(function)?;
        this.as_obj().call_method2(&names()._check_callback, callback, &function).map(drop)
    }

    #[inline]
    fn soon_checked(this: &Py<Self>, args: &Args<'_>, function: &'static str) -> PyResult<Obj> {
        this.check_closed()?;
        let (callback, rest, context) = parse(function, args)?;
        if this.debug.get() {
            Self::check_debug(this, callback, function)?;
        } else if let Some(context) = context
            && let Some(step) = Self::step_of(callback, rest, context)
            && Self::schedules_natively(this)
        {
            // Tasks and futures have asked, who want no handle. But where a program has put a
            // `call_soon` of its own in front, that may.
            this.push(step);
            return Ok(Obj::none());
        }
        Self::schedule(this, callback, rest, context).map(Py::into_obj)
    }

    /// The entry for a task's step, if that is what the callback is.
    #[inline]
    fn step_of(callback: &Obj, args: &[Obj], context: &Obj) -> Option<Ready> {
        if let [future] = args
            && let Some(task) = Task::woken_by(callback)
            && task.runs_in(context)
        {
            return Some(Ready::Wakeup(task, future.clone()));
        }
        if !is_task_step(callback) || context.is_none() {
            return None;
        }
        let (callable, context) = (callback.clone(), context.clone());
        let future = args.first().cloned();
        Some(Ready::TaskStep(Box::new(TaskStep { callable, future, context })))
    }

    /// `call_soon(callback, future, context=context)` of a native future, on an
    /// open loop that is not in debug mode.
    pub fn soon(this: &Py<Self>, callback: &Obj, future: &Obj, context: &Obj) -> PyResult<()> {
        if is_task_step(callback) && !context.is_none() {
            let (callable, context) = (callback.clone(), context.clone());
            let step = TaskStep { callable, future: Some(future.clone()), context };
            this.push(Ready::TaskStep(Box::new(step)));
            return Ok(());
        }
        Self::schedule(this, callback, std::slice::from_ref(future), Some(context)).map(drop)
    }

    /// Whether nobody has replaced `call_soon` of this loop or in its class, so that
    /// what is native may put entries into the queue without calling it.
    #[inline]
    pub fn schedules_natively(this: &Py<Self>) -> bool {
        Self::may_go_past(this, Past::CallSoon)
    }

    /// Whether `loop.create_task(coro)` makes a native task here: the loop is open,
    /// has no task factory, and nobody has replaced the method or the class.
    pub fn makes_native_tasks(this: &Py<Self>) -> PyResult<bool> {
        if this.is_closed()
            || this.task_factory.is_some()
            || !Self::may_go_past(this, Past::CreateTask)
        {
            return Ok(false);
        }
        let asyncio = Asyncio::get();
        let class = asyncio.task_class()?;
        Ok(class.is(&asyncio.task) || Task::is_made_by(&class))
    }

    /// Whether native code may put entries among the timers: the loop is open, not in
    /// debug mode, and nobody has replaced the methods that do so.
    #[inline]
    pub fn keeps_time_natively(this: &Py<Self>) -> bool {
        !this.debug.get()
            && !this.is_closed()
            && Self::schedules_natively(this)
            && Self::may_go_past(this, Past::CallLater)
            && Self::goes_by_system_clock(this)
    }

    /// Has native code told at the loop time `when`, in seconds.
    pub fn set_alarm(&self, when: f64, alarm: Alarm) -> TimerKey {
        self.timers.borrow_mut().insert(Instant::at_or_after(when), Due::Alarm(alarm))
    }

    /// Takes an alarm back, unless it has gone off.
    pub fn take_alarm_back(&self, key: TimerKey) {
        let removed = self.timers.borrow_mut().cancel(key);
        drop(removed);
    }

    fn call_soon(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        Self::soon_checked(this, args, "call_soon")
    }

    #[cfg(not(Py_3_14))]
    fn call_soon_threadsafe(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let handle = Self::soon_checked(this, args, "call_soon_threadsafe")?;
        this.wake();
        Ok(handle)
    }

    #[cfg(Py_3_14)]
    fn call_soon_threadsafe(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        const NAME: &str = "call_soon_threadsafe";
        this.check_closed()?;
        let (callback, rest, context) = parse(NAME, args)?;
        if this.debug.get() {
            Self::check_debug(this, callback, NAME)?;
        }
        let core = Core::new(this, callback, rest, context)?;
        if this.debug.get() {
            core.trace()?;
        }
        let handle = this.make_handle(crate::handle::ThreadSafeHandle::new(core))?;
        let result = handle.as_obj().clone();
        this.push(Ready::ThreadSafe(handle));
        this.wake();
        Ok(result)
    }

    /// Ends the loop's sleep. The lock makes the test exact: a loop that is not
    /// in (or on its way into) a wait looks at its queue before the next one.
    pub fn wake(&self) {
        if self.polling.get()
            && let Ok(io) = self.io()
        {
            io.waker.wake();
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "the parts of what is scheduled stay in registers only so"
    )]
    #[inline(always)]
    fn timer(
        this: &Py<Self>,
        when: f64,
        given_when: Option<Obj>,
        function: &str,
        (callback, rest, context): (&Obj, &[Obj], Option<&Obj>),
    ) -> PyResult<Obj> {
        if this.debug.get() {
            Self::check_debug(this, callback, function)?;
        }
        let core = Core::new(this, callback, rest, context)?;
        if this.debug.get() {
            core.trace()?;
        }
        TimerHandle::schedule(this, when, given_when, core).map(Py::into_obj)
    }

    fn call_later(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        if !Self::goes_by_system_clock(this) {
            let stock = Asyncio::get().base_event_loop.attr(c"call_later")?;
            return args.forward(&stock, this.as_obj());
        }
        let parameters = [&names().delay, &names().callback];
        let ([delay, callback], rest, context) =
            args.leading("call_later", parameters, &names().context)?;
        if delay.is_none() {
            return Err(Raised::type_error("delay must not be None"));
        }
        let now = Instant::now().as_secs_f64();
        let when = match delay.plain_number() {
            Some(delay) => now + delay,
            // What cannot be added to a float is refused, such as a Decimal.
            None => Obj::float(now)?.plus(delay)?.to_f64()?,
        };
        this.check_closed()?;
        Self::timer(this, when, None, "call_later", (callback, rest, context))
    }

    fn call_at(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let parameters = [&names().when, &names().callback];
        let ([when, callback], rest, context) =
            args.leading("call_at", parameters, &names().context)?;
        if when.is_none() {
            return Err(Raised::type_error("when cannot be None"));
        }
        this.check_closed()?;
        let seconds = when.to_f64()?;
        Self::timer(this, seconds, Some(when.clone()), "call_at", (callback, rest, context))
    }

    /// A future of this loop.
    pub fn create_future(this: &Py<Self>) -> PyResult<Obj> {
        Future::make(this).map(Py::into_obj)
    }

    fn create_task(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let known = [&names().name, &names().context, &names().eager_start];
        if let [coro] = args.positional()
            && !this.task_factory.is_some()
            && let Some([name, context, eager]) = args.only_known(known)
            && (eager.is_none() || Asyncio::get().creates_eager_tasks)
        {
            this.check_closed()?;
            let asyncio = Asyncio::get();
            let class = asyncio.task_class()?;
            if class.is(&asyncio.task) || Task::is_made_by(&class) {
                let eager_start = eager.map_or(Ok(false), Obj::is_true)?;
                let keywords = TaskArgs { name, context, eager_start };
                return Task::make(this, coro, &keywords).map(Py::into_obj);
            }
        }
        Self::create_task_as_stock(this, args)
    }

    /// Factories, debug mode, and a program that has put a class of its own there:
    /// the interpreter's own method knows its version's keywords.
    fn create_task_as_stock(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        args.forward(&Asyncio::get().base_event_loop.attr(c"create_task")?, this.as_obj())
    }
}

/// With the parameters that asyncio's has.
const CREATE_TASK: &CStr = if cfg!(Py_3_14) {
    c"create_task($self, coro, **kwargs)\n--\n\n\
      Schedule a coroutine and return its task. See loop.create_task() in asyncio."
} else {
    c"create_task($self, coro, *, name=None, context=None)\n--\n\n\
      Schedule a coroutine and return its task. See loop.create_task() in asyncio."
};

pub(super) fn methods(methods: Methods<NativeLoop>) -> Methods<NativeLoop> {
    methods
        .args(
            c"call_soon",
            c"call_soon($self, callback, *args, context=None)\n--\n\n\
              Run callback(*args) in the next turn of the loop and return a Handle.\n\n\
              See \"Scheduling callbacks\" in asyncio's event loop documentation.",
            NativeLoop::call_soon,
        )
        .args(
            c"call_soon_threadsafe",
            c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n\
              Like call_soon(), to be used from other threads: wakes the loop.",
            NativeLoop::call_soon_threadsafe,
        )
        .args(
            c"call_later",
            c"call_later($self, delay, callback, *args, context=None)\n--\n\n\
              Run callback(*args) after delay seconds, never earlier; return a TimerHandle.",
            NativeLoop::call_later,
        )
        .args(
            c"call_at",
            c"call_at($self, when, callback, *args, context=None)\n--\n\n\
              Run callback(*args) at the loop time when, in seconds, never earlier.",
            NativeLoop::call_at,
        )
        .noargs(
            c"create_future",
            c"create_future($self)\n--\n\nReturn an asyncio.Future attached to this loop.",
            NativeLoop::create_future,
        )
        .args(c"create_task", CREATE_TASK, NativeLoop::create_task)
        .noargs(c"_write_to_self", c"Wake the loop.", |this: &Py<NativeLoop>| {
            this.wake();
            Ok(())
        })
}
