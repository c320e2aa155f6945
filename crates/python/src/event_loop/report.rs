//! What goes wrong in callbacks, and what takes too long.

use crate::asyncio::{Asyncio, logger, names};
use crate::combine::{Alarm, Observer};
use crate::ffi::{Obj, Py, PyResult, Raised, context};
use crate::handle::{Core, Handle, RunBy};
use crate::task::{Task, TaskStep, settle};

use super::NativeLoop;

impl Py<NativeLoop> {
    /// Runs a handle's callback; what it raises goes to the exception handler,
    /// except what must leave the loop.
    #[inline]
    pub fn run_handle(&self, handle: &Obj, core: &Core, by: RunBy) -> PyResult<()> {
        let queued = (by == RunBy::Queue).then_some(handle);
        match core.run(queued, &self.copies) {
            Ok(()) => Ok(()),
            Err(raised) => self.callback_failed(raised, handle, core),
        }
    }

    /// Reports an exception that came out of a transport's handling of its
    /// descriptor: a bug here, or what the exception handler itself raised.
    #[cold]
    pub fn transport_failed(&self, raised: Raised, transport: &Obj) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        let context = Obj::dict()?;
        context.dict_set(&names().message, &Obj::str("Fatal error on transport")?)?;
        context.dict_set(&names().exception, &exception)?;
        context.dict_set(&names().transport, transport)?;
        self.report(&exception, &context)
    }

    /// Reports an exception of a handle's callback, as `asyncio.Handle` does.
    #[cold]
    pub fn callback_failed(&self, raised: Raised, handle: &Obj, core: &Core) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        let source = callback_source(core, self.debug.get())?;
        let context = Obj::dict()?;
        let message = Obj::str(&format!("Exception in callback {source}"))?;
        context.dict_set(&names().message, &message)?;
        context.dict_set(&names().exception, &exception)?;
        context.dict_set(&names().handle, handle)?;
        if let Some(traceback) = core.source_traceback() {
            context.dict_set(&names().source_traceback, &traceback)?;
        }
        self.report(&exception, &context)
    }

    /// Reports an exception of a C task's step that had no handle.
    #[cold]
    pub fn step_failed(
        &self,
        raised: Raised,
        callable: &Obj,
        future: Option<Obj>,
        context: &Obj,
    ) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        let args: Vec<Obj> = future.into_iter().collect();
        let handle = Py::new(Handle(Core::new(self, callable, &args, Some(context))?))?;
        let raised = Raised::restore(exception);
        self.callback_failed(raised, handle.as_obj(), &handle.0)
    }

    /// Reports an exception of a native task's step that is not its coroutine's.
    #[cold]
    pub fn native_step_failed(
        &self,
        raised: Raised,
        task: &Py<Task>,
        exception: Option<Obj>,
    ) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let own = raised.take();
        settle(self)?;
        let callable = TaskStep::make(task, exception)?;
        self.step_failed(Raised::restore(own), &callable, None, &task.context())
    }

    /// The same of a wake-up.
    #[cold]
    pub fn native_wakeup_failed(
        &self,
        raised: Raised,
        task: &Py<Task>,
        future: Obj,
    ) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let own = raised.take();
        settle(self)?;
        let callable = Task::wakeup_function(task)?;
        self.step_failed(Raised::restore(own), &callable, Some(future), &task.context())
    }

    /// The same of native code that takes note of a future.
    #[cold]
    pub fn observer_failed(
        &self,
        raised: Raised,
        observer: &Observer,
        future: Obj,
    ) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let own = raised.take();
        let callable = observer.callable()?;
        let context = context::copy_current()?;
        self.step_failed(Raised::restore(own), &callable, Some(future), &context)
    }

    /// The same of an operation that waits for its socket.
    #[cold]
    pub fn waiter_failed(&self, raised: Raised, operation: &Obj) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let own = raised.take();
        let context = context::copy_current()?;
        self.step_failed(Raised::restore(own), operation, None, &context)
    }

    /// The same of native code at a time.
    #[cold]
    pub fn alarm_failed(&self, raised: Raised, alarm: &Alarm) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        let context = Obj::dict()?;
        let message = Obj::str(&format!("Exception in callback {}", alarm.as_obj().repr_lossy()))?;
        context.dict_set(&names().message, &message)?;
        context.dict_set(&names().exception, &exception)?;
        self.report(&exception, &context)
    }

    /// `loop.call_exception_handler(context)`, called where the exception is handled, as asyncio
    /// does it: handlers log what `sys.exc_info()` tells.
    #[cold]
    pub fn report(&self, exception: &Obj, context: &Obj) -> PyResult<()> {
        let handler = &names().call_exception_handler;
        exception.while_handled(|| self.as_obj().call_method1(handler, context).map(drop))
    }

    /// Runs `body` in debug mode: `handle` is the current one meanwhile, and a
    /// long run is logged with what `describe` says of it.
    #[cold]
    pub fn watched(
        &self,
        handle: Option<&Obj>,
        describe: impl FnOnce() -> PyResult<Obj>,
        body: impl FnOnce() -> PyResult<()>,
    ) -> PyResult<()> {
        let begin = NativeLoop::seconds(self)?;
        self.current_handle.set(handle.cloned());
        let result = body();
        self.current_handle.set(None);
        result?;
        let seconds = NativeLoop::seconds(self)? - begin;
        if seconds >= self.slow_callback_duration.get() {
            let text = Obj::str("Executing %s took %.3f seconds")?;
            let warning = logger()?.getattr(&names().warning)?;
            warning.call_with(&[&text, &describe()?, &Obj::float(seconds)?])?;
        }
        Ok(())
    }
}

impl NativeLoop {
    /// How a slow handle is named in the log.
    pub fn describe_handle(handle: &Obj) -> PyResult<Obj> {
        Asyncio::get().format_handle.call1(handle)
    }
}

/// Callback and arguments as asyncio shows them in messages.
fn callback_source(core: &Core, debug: bool) -> PyResult<String> {
    let Some(callback) = core.callback() else { return Ok("<cancelled>".to_owned()) };
    let asyncio = Asyncio::get();
    let format = asyncio.format_helpers.attr(c"_format_callback_source")?;
    let args = core.args_tuple()?;
    let text = if asyncio.formats_by_debug {
        let kwargs = Obj::dict()?;
        kwargs.dict_set(&names().debug, &Obj::bool(debug))?;
        format.call_dict(&[&callback, &args], &kwargs)?
    } else {
        format.call2(&callback, &args)?
    };
    text.to_string_lossy()
}
