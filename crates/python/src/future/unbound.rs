//! The methods of asyncio's own `Future` and `Task` as functions on native ones:
//! `map(asyncio.Task.cancel, tasks)`, `asyncio.Future.result(task)`.
//!
//! Role: tells `ffi::detour` where each method and property of the two classes goes when it is
//! given a native future or task. Most go to the native class's own of the same name. What a
//! task does otherwise than a future (`cancel`, `repr`, …) `asyncio.Future`'s does as for a
//! future, as with the interpreter's own.

use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::ffi::detour::{Way, install};
use crate::ffi::gil::Global;
use crate::ffi::module::new_function;
use crate::ffi::{Args, Obj, PyResult, Raised};

use super::Awaited;

/// Made once; whether nothing of the base's reads its own fields any more.
static DONE: Global<bool> = Global::new();

/// Makes all detours, once. `classes` are the native ones, the first one is the task's; says
/// whether each method and property has its detour.
pub fn prepare(future: &Obj, task: &Obj, classes: [&Obj; 3]) -> PyResult<bool> {
    if let Some(done) = DONE.try_get() {
        return Ok(*done);
    }
    let shared = as_futures()?;
    let mut all = lead_all(future, &classes, &shared)?;
    all &= lead_all(task, &classes[..1], &[])?;
    DONE.set(all);
    Ok(all)
}

/// Leads each name of the class `base` to one of `shared`, or to what `classes` have themselves.
/// Says whether no native instance can reach the base's own.
fn lead_all(base: &Obj, classes: &[&Obj], shared: &[(&str, Obj)]) -> PyResult<bool> {
    let namespaces = classes.iter().map(|class| namespace(class)).collect::<PyResult<Vec<_>>>()?;
    let own = namespace(base)?;
    let mut all = true;
    for name in own.collect()? {
        let (Some(text), Some(descriptor)) = (name.as_str(), own.dict_get(&name)?) else {
            continue;
        };
        let shared = shared.iter().find(|(name, _)| *name == text).map(|(_, function)| function);
        let mut ways = Vec::new();
        for (class, namespace) in classes.iter().zip(&namespaces) {
            let to = match shared {
                Some(function) => Some(function.clone()),
                // What the native class inherits does not touch what is the instance's.
                None => namespace.dict_get(&name)?,
            };
            ways.extend(to.map(|to| Way { class: (*class).clone(), to }));
        }
        if !INNOCENT.contains(&text) && !ways.is_empty() {
            all &= install(base, descriptor, ways);
        }
    }
    Ok(all)
}

/// `dict(vars(class))`
fn namespace(class: &Obj) -> PyResult<Obj> {
    class.attr(c"__dict__")?.attr(c"copy")?.call0()
}

/// What asyncio's own class says of arguments that a native method has refused, in the place of
/// `raised`. It is asked with an instance of its own that was not even initialised: what is
/// wrong with the arguments it says before it looks at that.
#[cold]
pub fn in_asyncios_words(class: &Obj, method: &CStr, args: &Args<'_>, raised: Raised) -> Raised {
    if !args.were_refused() {
        return raised;
    }
    let own = raised.take();
    let bare = class.attr(c"__new__").and_then(|new| new.call1(class));
    let answer = bare.and_then(|bare| args.forward(&class.attr(method)?, &bare));
    answer.err().unwrap_or_else(|| Raised::restore(own))
}

/// What is no function of an instance.
const INNOCENT: [&str; 3] = ["__new__", "__doc__", "__module__"];

/// What `asyncio.Future` does with a task as with any future.
fn as_futures() -> PyResult<[(&'static str, Obj); 6]> {
    Ok([
        ("__init__", new_function(c"__init__", c"", init)?),
        ("__repr__", new_function(c"__repr__", c"", repr)?),
        ("__del__", new_function(c"__del__", c"", finalize)?),
        ("cancel", new_function(c"cancel", c"", cancel)?),
        ("set_result", new_function(c"set_result", c"", set_result)?),
        ("set_exception", new_function(c"set_exception", c"", set_exception)?),
    ])
}

/// The future or task that a function is called with, and its other arguments.
fn of<'a>(args: &Args<'a>, function: &str) -> PyResult<(Awaited, &'a Obj, Args<'a>)> {
    let (this, rest) = args.first_and_rest(function)?;
    Ok((Awaited::expect(this, function)?, this, rest))
}

fn init(args: &Args<'_>) -> PyResult<Obj> {
    let (awaited, this, rest) = of(args, "Future")?;
    let [] = rest.positional_only("Future")?;
    let [event_loop] = rest.bind("Future", 0, [&Asyncio::get().loop_name])?;
    awaited.core().init(this, event_loop).map(|()| Obj::none())
}

fn repr(args: &Args<'_>) -> PyResult<Obj> {
    let (awaited, this, _) = of(args, "__repr__")?;
    awaited.core().check_alive()?;
    Asyncio::get().future_repr.call1(this)
}

fn finalize(args: &Args<'_>) -> PyResult<Obj> {
    let (awaited, this, _) = of(args, "__del__")?;
    awaited.core().finalize(this).map(|()| Obj::none())
}

fn cancel(args: &Args<'_>) -> PyResult<Obj> {
    let (awaited, this, rest) = of(args, "cancel")?;
    awaited.core().check_alive()?;
    let [message] = rest.bind("cancel", 0, [&names().msg])?;
    awaited.core().cancel(this, message.cloned()).map(Obj::bool)
}

fn set_result(args: &Args<'_>) -> PyResult<Obj> {
    let (awaited, this, rest) = of(args, "set_result")?;
    awaited.core().check_alive()?;
    let [result] = rest.exactly("set_result")?;
    awaited.core().set_result(this, result).map(|()| Obj::none())
}

fn set_exception(args: &Args<'_>) -> PyResult<Obj> {
    let (awaited, this, rest) = of(args, "set_exception")?;
    awaited.core().check_alive()?;
    let [exception] = rest.exactly("set_exception")?;
    awaited.core().set_exception(this, exception).map(|()| Obj::none())
}
