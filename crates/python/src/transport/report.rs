//! What protocols raise, on its way to the loop's exception handler.
//!
//! Role: the calls of a protocol that must not fail its transport, and the contexts of the reports:
//! with transport and protocol, or with a handle where asyncio's transports let an exception
//! through to the loop. What must leave the loop (`KeyboardInterrupt`, say) is given back.
//!
//! Thread: the loop's.

use std::ffi::CStr;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::module::import;
use crate::ffi::names::Name;
use crate::ffi::{Obj, Py, PyResult, Raised};

/// Whom to tell, and where to report what they raise.
#[derive(Debug)]
pub struct Whose<'a> {
    /// The loop.
    pub event_loop: Option<&'a Py<NativeLoop>>,
    /// The transport.
    pub transport: &'a Obj,
    /// Its protocol.
    pub protocol: Option<Obj>,
}

impl Whose<'_> {
    /// Calls a method of the protocol's, without arguments; `failed` is said of what it raises.
    pub fn tell(&self, method: &Name, failed: &str) -> PyResult<()> {
        let Some(protocol) = &self.protocol else { return Ok(()) };
        match protocol.call_method0(method) {
            Ok(_) => Ok(()),
            Err(raised) => report(self, raised, failed),
        }
    }
}

/// Hands an exception of a protocol's or transport's to the exception handler,
/// except what must leave the loop.
#[cold]
pub fn report(whose: &Whose<'_>, raised: Raised, message: &str) -> PyResult<()> {
    if raised.escapes() {
        return Err(raised);
    }
    let exception = raised.take();
    let context = Obj::dict()?;
    context.dict_set(&names().message, &Obj::str(message)?)?;
    context.dict_set(&names().exception, &exception)?;
    context.dict_set(&names().transport, whose.transport)?;
    let protocol = whose.protocol.clone().unwrap_or_else(Obj::none);
    context.dict_set(&names().protocol, &protocol)?;
    match whose.event_loop {
        Some(event_loop) => event_loop.report(&exception, &context),
        None => Ok(()),
    }
}

/// A method of asyncio's transports that its loop calls when a file is ready.
#[derive(Clone, Copy, Debug)]
pub struct ReadyMethod {
    pub module: &'static CStr,
    pub class: &'static CStr,
    pub name: &'static CStr,
}

/// Hands an exception of a protocol's to the exception handler, except what must leave the loop,
/// where asyncio's transports let it through to the handle that has called `method`. There is no
/// such handle here, so the report has one that is made for it.
#[cold]
pub fn report_ready(whose: &Whose<'_>, raised: Raised, method: ReadyMethod) -> PyResult<()> {
    if raised.escapes() {
        return Err(raised);
    }
    let exception = raised.take();
    let Some(event_loop) = whose.event_loop else { return Ok(()) };
    let function = import(method.module)?.attr(method.class)?.attr(method.name)?;
    let callback = import(c"types")?.attr(c"MethodType")?.call2(&function, whose.transport)?;
    let handle = import(c"asyncio")?.attr(c"Handle")?.call3(
        &callback,
        &Obj::tuple(&[])?,
        event_loop.as_obj(),
    )?;
    let (class, name) = (method.class.to_string_lossy(), method.name.to_string_lossy());
    let context = Obj::dict()?;
    let message = Obj::str(&format!("Exception in callback {class}.{name}()"))?;
    context.dict_set(&names().message, &message)?;
    context.dict_set(&names().exception, &exception)?;
    context.dict_set(&names().handle, &handle)?;
    event_loop.report(&exception, &context)
}
