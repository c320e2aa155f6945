//! The extension module `batuta._batuta`: the engine as a Python event loop.
//!
//! Direction of dependence: `ffi` knows CPython and nothing else; `asyncio`
//! looks up the interpreter's own asyncio; `handle`, `transport` and
//! `event_loop` put the engine behind asyncio's names. No raw CPython call
//! stands outside `ffi`.

mod address;
mod asyncio;
mod event_loop;
mod ffi;
mod handle;
mod sock;
mod transport;

use ffi::module::{add, add_function, import};
use ffi::native::define;
use ffi::{Args, Obj, PyResult};

/// Called by the interpreter's import system.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit__batuta() -> *mut pyo3_ffi::PyObject {
    ffi::module::init(c"_batuta", c"The native half of Batuta.", fill)
}

fn fill(module: &Obj) -> PyResult<()> {
    let panic_error = ffi::module::new_exception(
        c"batuta._batuta.PanicError",
        c"A bug in Batuta: Rust code panicked.",
        &raw const pyo3_ffi::PyExc_RuntimeError,
    )?;
    ffi::method::PANIC_ERROR.set(panic_error);
    add(module, c"PanicError", ffi::method::PANIC_ERROR.get())?;
    asyncio::Asyncio::load()?;
    sock::load()?;

    let events = import(c"asyncio.events")?;
    add(module, c"NativeLoop", &define::<event_loop::NativeLoop>(None)?)?;
    let handle = define::<handle::Handle>(Some(&events.attr(c"Handle")?))?;
    add(module, c"Handle", &handle)?;
    let timer = define::<handle::TimerHandle>(Some(&events.attr(c"TimerHandle")?))?;
    add(module, c"TimerHandle", &timer)?;
    let transport = import(c"asyncio.transports")?.attr(c"Transport")?;
    let stream = define::<transport::StreamTransport>(Some(&transport))?;
    add(module, c"StreamTransport", &stream)?;
    add(module, c"SockOp", &define::<sock::SockOp>(None)?)?;
    add(module, c"__version__", &Obj::str(env!("CARGO_PKG_VERSION"))?)?;
    add_function(
        module,
        c"_panic_for_tests",
        c"Panic in Rust: the tests check that it is reported and survived.",
        panic_for_tests,
    )
}

#[expect(clippy::panic, clippy::unnecessary_wraps, reason = "panics by design")]
fn panic_for_tests(_: &Args<'_>) -> PyResult<Obj> {
    panic!("asked to panic by a test")
}
