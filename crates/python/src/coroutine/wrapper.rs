//! [`Wrapper`]: what `coroutine.__await__()` returns.
//!
//! Role: an iterator over a coroutine, which is none itself. `await` does without; who writes an
//! `__await__()` of his own delegates to it.
//!
//! Ownership: it owns the coroutine.
//!
//! Thread: the coroutine's.

use std::ffi::CStr;

use crate::asyncio::names;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{SendFn, TypeCell, sent_or_stop};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor};

/// An iterator over a coroutine.
#[derive(Debug)]
pub struct Wrapper(Slot);

static WRAPPER: TypeCell = TypeCell::new();

impl Wrapper {
    /// That of a coroutine.
    pub fn of(coroutine: &Obj) -> PyResult<Obj> {
        Py::new(Self(Slot::from(coroutine.clone()))).map(Py::into_obj)
    }

    fn coroutine(&self) -> Obj {
        self.0.get_or_none()
    }
}

impl NativeType for Wrapper {
    const NAME: &'static CStr = c"batuta._batuta.coroutine_wrapper";
    const DOC: &'static CStr = c"An iterator over a coroutine.";
    const SEND: Option<SendFn<Self>> = Some(|this, value| this.coroutine().send(value));

    fn cell() -> &'static TypeCell {
        &WRAPPER
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.0);
    }

    fn clear(&self) {
        self.0.set(None);
    }

    fn methods() -> Methods<Self> {
        Methods::new()
            .one(c"send", c"Resume the coroutine with a value.", |this: &Py<Self>, value: &Obj| {
                sent_or_stop(this.coroutine().send(value))
            })
            .args(
                c"throw",
                c"Raise an exception where the coroutine waits.",
                |this: &Py<Self>, args: &Args<'_>| {
                    args.forward_all(&this.coroutine().getattr(&names().throw)?)
                },
            )
            .noargs(c"close", c"End the coroutine where it waits.", |this: &Py<Self>| {
                this.coroutine().call_method0(&names().close)
            })
    }

    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
