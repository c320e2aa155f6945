//! The extension module `batuta._batuta`: the engine as a Python event loop.
//!
//! Direction of dependence: `ffi` knows CPython and nothing else; `asyncio`
//! looks up the interpreter's own asyncio; `handle`, `transport` and
//! `event_loop` put the engine behind asyncio's names. No raw CPython call
//! stands outside `ffi`.

mod address;
mod asyncio;
mod combine;
mod connect;
mod coroutine;
mod event_loop;
mod executor;
mod ffi;
mod future;
mod handle;
mod resolve;
mod sock;
mod streams;
mod sync;
mod task;
mod transport;

use ffi::module::{add, add_function, import, new_class};
use ffi::native::define;
use ffi::{Args, Obj, PyResult};

/// Called by the interpreter's import system.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit__batuta() -> ffi::module::Initial {
    ffi::module::init(c"_batuta", c"The native half of Batuta.", fill)
}

fn fill(module: &Obj) -> PyResult<()> {
    let panic_error = ffi::module::new_exception(
        c"batuta._batuta.PanicError",
        c"A bug in Batuta: Rust code panicked.",
        ffi::error::runtime_error_class(),
    )?;
    ffi::panic::PANIC_ERROR.set(panic_error);
    add(module, c"PanicError", ffi::panic::PANIC_ERROR.get())?;
    ffi::panic::silence_panics();
    ffi::context::load();
    asyncio::Asyncio::load()?;
    sock::load()?;
    coroutine::load()?;

    let events = import(c"asyncio.events")?;
    event_loop::NativeLoop::load_clock()?;
    let native_loop = define::<event_loop::NativeLoop>(None)?;
    sock::load_calls(&native_loop)?;
    connect::load(&native_loop)?;
    executor::load(&native_loop)?;
    resolve::load(&native_loop)?;
    add(module, c"NativeLoop", &native_loop)?;
    let handle = define::<handle::Handle>(Some(&events.attr(c"Handle")?))?;
    add(module, c"Handle", &handle)?;
    #[cfg(Py_3_14)]
    {
        let base = events.attr(c"_ThreadSafeHandle")?;
        let handle = define::<handle::ThreadSafeHandle>(Some(&base))?;
        add(module, c"_ThreadSafeHandle", &handle)?;
    }
    let timer = define::<handle::TimerHandle>(Some(&events.attr(c"TimerHandle")?))?;
    add(module, c"TimerHandle", &timer)?;
    let native = import(c"_asyncio")?;
    let (future_base, task_base) = (native.attr(c"Future")?, native.attr(c"Task")?);
    let future = future::Future::define(&future_base)?;
    add(module, c"Future", &future)?;
    let task = define::<task::Task>(Some(&task_base))?;
    add(module, c"Task", &task)?;
    define::<future::FutureIter>(None)?;
    define::<task::TaskStep>(None)?;
    define::<coroutine::WhenReady>(None)?;
    define::<coroutine::Wrapper>(None)?;
    define::<event_loop::Chore>(None)?;
    task::Task::prepare();
    combine::fill(module, &native)?;
    let gathering = module.attr(c"_GatheringFuture")?;
    let led = future::lead_from_base(&future_base, &task_base, [&task, &future, &gathering])?;
    task::find_base_fields(led)?;
    let transports = import(c"asyncio.transports")?;
    let flow_control = transports.attr(c"_FlowControlMixin")?;
    #[cfg(Py_3_13)]
    transport::load_servers()?;
    let stream = define::<transport::StreamTransport>(Some(&flow_control))?;
    transport::StreamTransport::note_methods(&stream)?;
    add(module, c"StreamTransport", &stream)?;
    let read_base = transports.attr(c"ReadTransport")?;
    let read_pipe = define::<transport::ReadPipeTransport>(Some(&read_base))?;
    add(module, c"ReadPipeTransport", &read_pipe)?;
    let write_pipe = define::<transport::WritePipeTransport>(Some(&flow_control))?;
    add(module, c"WritePipeTransport", &write_pipe)?;
    let base =
        new_class("DatagramBase", &[flow_control.clone(), transports.attr(c"DatagramTransport")?])?;
    let datagram = define::<transport::DatagramTransport>(Some(&base))?;
    add(module, c"DatagramTransport", &datagram)?;
    add(module, c"SockOp", &define::<coroutine::Coroutine<sock::SockOp>>(None)?)?;
    connect::define()?;
    resolve::define()?;
    transport::load_tls(&flow_control, |name, class| add(module, name, class))?;
    sync::load(|name, class| add(module, name, class))?;
    streams::load(|name, class| add(module, name, class))?;
    add(module, c"__version__", &Obj::str(env!("CARGO_PKG_VERSION"))?)?;
    add(module, c"__build__", &Obj::str(env!("BATUTA_BUILD"))?)?;
    fill_functions(module)
}

/// What `python/batuta` calls.
fn fill_functions(module: &Obj) -> PyResult<()> {
    #[cfg(not(Py_3_14))]
    add_function(
        module,
        c"take_unregistered_tasks",
        c"Return the tasks that asyncio's own set of tasks has not been given yet, each once.",
        |_| Obj::list(&task::take_unregistered()),
    )?;
    add_function(
        module,
        c"_track_origins",
        c"Whether native coroutines keep where they were made.",
        |args: &Args<'_>| {
            let [tracked] = args.exactly("_track_origins")?;
            coroutine::track(tracked.is_true()?);
            Ok(Obj::none())
        },
    )?;
    add_function(
        module,
        c"_set_task_stand_in",
        c"Say which class, when called, makes a Task; once.",
        set_task_stand_in,
    )?;
    add_function(
        module,
        c"_set_writer_class",
        c"Say of which class the writers of servers are; once.",
        |args: &Args<'_>| {
            let [class] = args.exactly("_set_writer_class")?;
            streams::set_writer_class(class);
            Ok(Obj::none())
        },
    )?;
    add_function(
        module,
        c"_coalesce_by_default",
        c"Switch coalesce_writes of new loops on or off.",
        |args: &Args<'_>| {
            let [coalesce] = args.exactly("_coalesce_by_default")?;
            event_loop::NativeLoop::coalesce_by_default(coalesce.is_true()?);
            Ok(Obj::none())
        },
    )?;
    add_function(
        module,
        c"_send_held_writes",
        c"Send what the loop of this thread holds back: before a fork.",
        |_| {
            event_loop::NativeLoop::send_held_here()?;
            Ok(Obj::none())
        },
    )?;
    add_function(
        module,
        c"_forget_running_loop",
        c"Forget which loop runs: for the child of a fork.",
        |_| {
            event_loop::NativeLoop::forget_running();
            Ok(Obj::none())
        },
    )?;
    add_function(
        module,
        c"_panic_for_tests",
        c"Panic in Rust: the tests check that it is reported and survived.",
        panic_for_tests,
    )
}

fn set_task_stand_in(args: &Args<'_>) -> PyResult<Obj> {
    let [class] = args.exactly("_set_task_stand_in")?;
    task::Task::set_stand_in(class);
    Ok(Obj::none())
}

fn panic_for_tests(_: &Args<'_>) -> PyResult<Obj> {
    panic!("asked to panic by a test")
}
