//! [`Served`]: how what a server's program does with a connection ends.
//!
//! Role: is called when the task is done that runs it: a failure is reported and ends the
//! connection, a cancellation ends it. (asyncio before 3.13 reports the `CancelledError`.)
//!
//! Ownership: the task owns it as its callback; it owns the transport that there was when the task
//! began, which `start_tls()` may have replaced meanwhile.

use std::ffi::CStr;

use crate::asyncio::names;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{CallFn, ReprFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor};

use super::super::lookups::own_names;

/// What looks after one connection.
#[derive(Debug)]
pub struct Served {
    event_loop: Slot,
    transport: Slot,
}

static SERVED: TypeCell = TypeCell::new();

impl Served {
    /// For a connection of the loop.
    pub fn new(event_loop: &Obj, transport: &Obj) -> Self {
        Self { event_loop: event_loop.clone().into(), transport: transport.clone().into() }
    }

    fn call(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let [task] = args.exactly("callback")?;
        let transport = this.transport.get_or_none();
        if task.call_method0(&own_names().cancelled)?.is_true()? {
            transport.call_method0(&names().close)?;
        } else if let Some(exception) = task.call_method0(&own_names().exception)?.non_none() {
            failed(&this.event_loop.get_or_none(), exception, &transport)?;
        }
        Ok(Obj::none())
    }
}

/// Reports what a program has failed with, and closes its connection.
#[cold]
pub fn failed(event_loop: &Obj, exception: &Obj, transport: &Obj) -> PyResult<()> {
    let (names, context) = (names(), Obj::dict()?);
    let message = Obj::str("Unhandled exception in client_connected_cb")?;
    context.dict_set(&names.message, &message)?;
    context.dict_set(&names.exception, exception)?;
    context.dict_set(&names.transport, transport)?;
    event_loop.call_method1(&names.call_exception_handler, &context)?;
    transport.call_method0(&names.close).map(drop)
}

impl NativeType for Served {
    const NAME: &'static CStr = c"batuta._batuta.Served";
    const DOC: &'static CStr = c"Told of the end of a task that serves a connection.";
    const POOL: usize = 256;
    const CALL: Option<CallFn<Self>> = Some(Self::call);
    /// What asyncio's callback is called, for who looks at a task.
    const REPR: Option<ReprFn<Self>> =
        Some(|_| Obj::str("StreamReaderProtocol.connection_made.<locals>.callback"));

    fn cell() -> &'static TypeCell {
        &SERVED
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.event_loop);
        visitor.slot(&self.transport);
    }

    fn clear(&self) {
        self.event_loop.set(None);
        self.transport.set(None);
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
