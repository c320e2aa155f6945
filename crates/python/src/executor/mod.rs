//! `loop.run_in_executor()`.
//!
//! Role: hands the function to the executor, by its `submit()`, and gives the program a native
//! future that a [`Link`] ties to the executor's own: what `asyncio.wrap_future()` does with
//! four Python functions for each call.
//!
//! The interpreter's own method is called in debug mode, for the first call that needs the
//! default executor, and while a program has replaced what is gone past here. A future that is
//! not exactly `concurrent.futures.Future` is wrapped by `asyncio.wrap_future()`.
//!
//! Thread: the loop's; links are also called in the executor's threads, under the interpreter's
//! lock.

mod link;

use crate::asyncio::Asyncio;
use crate::event_loop::{NativeLoop, Past};
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::declare_names;
use crate::ffi::native::define;
use crate::ffi::{Args, Obj, Py, PyResult};

pub use link::Link;

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        _default_executor, _exception, _executor_shutdown_called, _result, _state,
        _thread_name_prefix, run_in_executor, submit, wrap_future,
    }
}

/// The interpreter's own functions.
#[derive(Debug)]
struct Lookups {
    names: Names,
    /// `BaseEventLoop.run_in_executor`
    run_in_executor: Obj,
    /// `asyncio.futures`
    futures: Obj,
    /// `asyncio.futures.wrap_future`
    wrap_future: Obj,
    /// `asyncio.futures._convert_future_exc`
    convert_exception: Obj,
    /// `asyncio.futures._copy_future_state`
    copy_state: Obj,
    /// `concurrent.futures.Future`
    concurrent_future: Obj,
    /// What `concurrent.futures.Future` calls its states.
    finished: Obj,
    cancelled: [Obj; 2],
    /// `"asyncio"`: how the threads of asyncio's own default executor are named.
    own_prefix: Obj,
}

static LOOKUPS: Global<Lookups> = Global::new();
static NATIVE: Global<Obj> = Global::new();

/// Gives the class of native loops its method.
pub fn load(class: &Obj) -> PyResult<()> {
    let futures = import(c"asyncio.futures")?;
    let concurrent = import(c"concurrent.futures._base")?;
    LOOKUPS.set(Lookups {
        names: Names::intern()?,
        run_in_executor: Asyncio::get().base_event_loop.attr(c"run_in_executor")?,
        wrap_future: futures.attr(c"wrap_future")?,
        convert_exception: futures.attr(c"_convert_future_exc")?,
        copy_state: futures.attr(c"_copy_future_state")?,
        futures,
        concurrent_future: concurrent.attr(c"Future")?,
        finished: concurrent.attr(c"FINISHED")?,
        own_prefix: Obj::str("asyncio")?,
        cancelled: [concurrent.attr(c"CANCELLED")?, concurrent.attr(c"CANCELLED_AND_NOTIFIED")?],
    });
    define::<Link>(None)?;
    if NATIVE.try_get().is_none() {
        NATIVE.set(LOOKUPS.get().run_in_executor.native_method(run_in_executor)?);
    }
    class.set_attr(c"run_in_executor", NATIVE.get())
}

/// Whether what goes to the default executor goes to the one that asyncio makes by itself: the
/// program has chosen none, and has not replaced `run_in_executor()`.
pub fn uses_own_default(event_loop: &Py<NativeLoop>) -> PyResult<bool> {
    let (stock, this) = (LOOKUPS.get(), event_loop.as_obj());
    let method = this.getattr(&stock.names.run_in_executor)?;
    if !method.attr_or_none(c"__func__")?.is(NATIVE.get()) || is_shut_down(event_loop)? {
        return Ok(false);
    }
    let executor = this.getattr(&stock.names._default_executor)?;
    if executor.is_none() {
        return Ok(true);
    }
    executor.getattr_or_none(&stock.names._thread_name_prefix)?.equals(&stock.own_prefix)
}

/// Whether `shutdown_default_executor()` was called, after which the default executor takes
/// nothing more.
pub fn is_shut_down(event_loop: &Py<NativeLoop>) -> PyResult<bool> {
    event_loop.as_obj().getattr(&LOOKUPS.get().names._executor_shutdown_called)?.is_true()
}

/// `loop.run_in_executor(executor, function, *args)`
pub fn run_in_executor(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Obj> {
    let stock = LOOKUPS.get();
    if let [executor, call @ ..] = args.positional()
        && !call.is_empty()
        && !args.has_keywords()
        && let Some(executor) = chosen(event_loop, executor)?
    {
        event_loop.check_closed()?;
        let submit = executor.getattr(&stock.names.submit)?;
        let mut passed = Vec::with_capacity(call.len());
        passed.extend(call);
        return wrap(event_loop, &submit.call_with(&passed)?);
    }
    args.forward(&stock.run_in_executor, event_loop.as_obj())
}

/// The executor that is meant; nothing if the interpreter's own method has to be called.
fn chosen(event_loop: &Py<NativeLoop>, given: &Obj) -> PyResult<Option<Obj>> {
    let stock = LOOKUPS.get();
    if event_loop.debug.get()
        || !NativeLoop::may_go_past(event_loop, Past::CallThreadSafe)
        || !stock.futures.getattr(&stock.names.wrap_future)?.is(&stock.wrap_future)
    {
        return Ok(None);
    }
    if !given.is_none() {
        return Ok(Some(given.clone()));
    }
    let this = event_loop.as_obj();
    if is_shut_down(event_loop)? {
        return Ok(None);
    }
    Ok(this.getattr(&stock.names._default_executor)?.non_none().cloned())
}

/// `wrap_future(submitted, loop=event_loop)`
fn wrap(event_loop: &Py<NativeLoop>, submitted: &Obj) -> PyResult<Obj> {
    let stock = LOOKUPS.get();
    if submitted.is_exactly(&stock.concurrent_future) {
        return Link::tie(event_loop, submitted);
    }
    let keywords = &Asyncio::get().loop_keyword;
    stock.wrap_future.call_keywords(Some(submitted), keywords, [event_loop.as_obj()])
}
