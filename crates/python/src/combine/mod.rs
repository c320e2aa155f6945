//! Waiting for several things, and for a time: `gather`, `TaskGroup`, and their kin.
//!
//! Role: what these do often is native; what they do when something goes wrong is
//! the interpreter's own, where it can be. A native future that is watched from here
//! calls nothing when it is done: its [`Observer`] is an entry of the ready queue, in
//! the place where a handle would stand, so the order is asyncio's.
//!
//! On loops that are not Batuta's, and with futures that are not native, everything
//! goes through their public methods.
//!
//! Thread: the loop's.

mod alarm;
mod child;
mod deadline;
mod gather;
mod gathering;
mod group;
mod group_coroutines;
mod lookups;
mod observer;
mod sleep;
mod timeout;
mod wait;
#[cfg(Py_3_12)]
mod wait_for;
#[cfg(not(Py_3_12))]
#[path = "wait_for_311.rs"]
mod wait_for;

use std::ffi::CStr;

use crate::coroutine;
use crate::ffi::module::{add, new_class};
use crate::ffi::native::define;
use crate::ffi::{Obj, PyResult};

use lookups::stock;

pub use alarm::Alarm;
pub use gathering::GatheringFuture;
pub use group::NativeTaskGroup;
pub use observer::Observer;
pub use timeout::NativeTimeout;

/// Puts the classes and functions into the module; `native` is `_asyncio`.
pub fn fill(module: &Obj, native: &Obj) -> PyResult<()> {
    lookups::load()?;
    GatheringFuture::prepare();
    wait::prepare();
    coroutine::define::<wait::Wait>()?;
    #[cfg(not(Py_3_12))]
    Observer::prepare();
    let class = define::<GatheringFuture>(Some(&native.attr(c"Future")?))?;
    add(module, c"_GatheringFuture", &class)?;
    add(module, c"NativeTaskGroup", &task_group()?)?;
    add(module, c"Timeout", &timeout_class()?)?;
    coroutine::define::<sleep::Sleep>()?;
    coroutine::define::<wait_for::WaitFor>()?;
    let stock = stock();
    add(module, c"gather", &stock.gather.native_function(gather::gather)?)?;
    add(module, c"sleep", &stock.sleep.native_function(sleep::sleep)?)?;
    add(module, c"wait", &stock.wait.native_function(wait::wait)?)?;
    add(module, c"wait_for", &stock.wait_for.native_function(wait_for::wait_for)?)?;
    add(module, c"timeout", &stock.timeout.native_function(timeout::timeout)?)?;
    add(module, c"timeout_at", &stock.timeout_at.native_function(timeout::timeout_at)?)
}

fn task_group() -> PyResult<Obj> {
    coroutine::define::<group_coroutines::Enter>()?;
    coroutine::define::<group_coroutines::Exit>()?;
    let class = define::<NativeTaskGroup>(None)?;
    let stock = stock();
    let create_task = stock.group_create_task.native_method(NativeTaskGroup::create_task)?;
    class.set_attr(c"__init__", &stock.group_init.native_init::<NativeTaskGroup>()?)?;
    class.set_attr(c"create_task", &create_task)?;
    NativeTaskGroup::add_on_task_done(&class)?;
    class.set_attr(c"__aenter__", &stock.group_enter.native_method(group_coroutines::aenter)?)?;
    class.set_attr(c"__aexit__", &stock.group_exit.native_method(group_coroutines::aexit)?)?;
    Ok(class)
}

/// `Timeout`: the native half before the interpreter's own class.
fn timeout_class() -> PyResult<Obj> {
    coroutine::define::<timeout::Enter>()?;
    coroutine::define::<timeout::Exit>()?;
    let half = define::<NativeTimeout>(None)?;
    let stock = stock();
    let model = |name: &CStr| stock.stock_timeout.attr(name);
    half.set_attr(c"__init__", &model(c"__init__")?.native_init::<NativeTimeout>()?)?;
    half.set_attr(c"when", &model(c"when")?.native_method(NativeTimeout::when)?)?;
    half.set_attr(c"expired", &model(c"expired")?.native_method(NativeTimeout::expired)?)?;
    let on_timeout = model(c"_on_timeout")?.native_method(NativeTimeout::on_timeout)?;
    half.set_attr(c"_on_timeout", &on_timeout)?;
    half.set_attr(c"__aenter__", &stock.timeout_enter.native_method(NativeTimeout::aenter)?)?;
    half.set_attr(c"__aexit__", &stock.timeout_exit.native_method(NativeTimeout::aexit)?)?;
    let reschedule = stock.timeout_reschedule.native_method(NativeTimeout::reschedule)?;
    half.set_attr(c"reschedule", &reschedule)?;
    let class = new_class("Timeout", &[half, stock.stock_timeout.clone()])?;
    class.set_attr(c"__doc__", &stock.stock_timeout.attr(c"__doc__")?)?;
    timeout::set_class(class.clone());
    Ok(class)
}
