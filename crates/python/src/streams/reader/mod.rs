//! `batuta.StreamReader`'s native base.
//!
//! Role: what a connection has received and a coroutine reads. What asyncio's class
//! does seldom (`repr`, `_replace_transport`, debug mode's traceback, …) is inherited
//! and works through our properties, which have the names of its attributes.
//!
//! Methods that asyncio's class calls on itself are called where a program has replaced
//! them (`sync/hooks.rs`), and gone past where not.
//!
//! Files: this one is the type; `methods` is what the class has, and which of it a program may
//! have replaced; `intake` is the way in, up to waking who waits; `steps` are the coroutines,
//! `replaced` what they do where they call methods of a program's, `until` how they find the end
//! of a message.

mod intake;
mod methods;
mod replaced;
mod steps;
mod until;

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::event_loop::NativeLoop;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, InitFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor};
use crate::sync::hooks::Hooks;

use super::buffer::Buffer;
use super::lookups::Lookups;

pub use methods::Hook;
pub(super) use methods::prepare;

/// A stream's receiving end.
#[derive(Debug, Default)]
pub struct NativeStreamReader {
    event_loop: Slot,
    buffer: Buffer,
    /// What Python code sees of the limit.
    limit: Slot,
    /// The same in bytes.
    most: Cell<usize>,
    /// How many bytes the coroutine waits for that waits; 0 if it does not know. Like `accepted`
    /// a hint for how to receive: what is read is the same whatever it says.
    expected: Cell<usize>,
    /// How many bytes `read(n)` or `readexactly(n)` takes at most that waits; 0 for other methods.
    accepted: Cell<usize>,
    eof: Cell<bool>,
    /// The future that a coroutine waits with.
    waiter: Slot,
    exception: Slot,
    transport: Slot,
    /// The transport was told to pause.
    paused: Cell<bool>,
    hooks: Hooks,
}

static READER: TypeCell = TypeCell::new();
impl NativeStreamReader {
    /// `exception()`
    #[inline]
    pub fn exception(&self) -> Option<Obj> {
        self.exception.get()
    }

    fn set_limit(&self, limit: &Obj) {
        self.most.set(limit.whole_size());
        self.limit.set(Some(limit.clone()));
    }
}

impl Py<NativeStreamReader> {
    fn init(&self, args: &Args<'_>) -> PyResult<()> {
        const NAME: &str = "StreamReader.__init__";
        self.fits(NAME, args)?;
        let parameters = [&names().limit, &Asyncio::get().loop_name];
        let [limit, event_loop] = args.bind(NAME, 0, parameters)?;
        let limit = limit.unwrap_or(&Lookups::get().default_limit);
        let event_loop = event_loop.filter(|event_loop| is_quiet(event_loop));
        let Some(event_loop) = event_loop.filter(|_| limit.is_int() && limit.whole_size() > 0)
        else {
            return Err(args.unfit(NAME));
        };
        self.set_limit(limit);
        self.buffer.clear();
        self.eof.set(false);
        self.paused.set(false);
        for slot in [&self.waiter, &self.exception, &self.transport] {
            slot.set(None);
        }
        self.event_loop.set(Some(event_loop.clone()));
        Ok(())
    }
}

/// Whether it is a loop of ours, and not in debug mode, in which readers keep where they were made.
fn is_quiet(event_loop: &Obj) -> bool {
    Py::<NativeLoop>::from_instance(event_loop).is_some_and(|native| !native.debug.get())
}

impl NativeType for NativeStreamReader {
    const NAME: &'static CStr = c"batuta._batuta.NativeStreamReader";
    const DOC: &'static CStr = c"The native base of batuta.StreamReader.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(Py::init);
    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(methods::originals(), name));

    fn cell() -> &'static TypeCell {
        &READER
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.buffer.traverse(visitor);
        for slot in [&self.event_loop, &self.limit, &self.waiter, &self.exception, &self.transport]
        {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.buffer.clear();
        for slot in [&self.event_loop, &self.limit, &self.waiter, &self.exception, &self.transport]
        {
            slot.set(None);
        }
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        type This = Py<NativeStreamReader>;
        Properties::new()
            .get_set(
                c"_buffer",
                |this: &This| this.buffer.show(),
                |this: &This, array: &Obj| this.buffer.replace(array),
            )
            .get_set(
                c"_limit",
                |this: &This| Ok(this.limit.get()),
                |this: &This, limit: &Obj| {
                    this.set_limit(limit);
                    Ok(())
                },
            )
            .flag(c"_eof", |this: &This| &this.eof)
            .flag(c"_paused", |this: &This| &this.paused)
            .slot(c"_loop", |this: &This| &this.event_loop)
            .slot(c"_waiter", |this: &This| &this.waiter)
            .slot(c"_exception", |this: &This| &this.exception)
            .slot(c"_transport", |this: &This| &this.transport)
    }
}
