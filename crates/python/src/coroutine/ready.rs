//! [`WhenReady`]: what the loop calls when a coroutine's descriptor is ready.
//!
//! Role: a callback that leads to [`Routine::ready`]. Coroutines cannot be called, and programs ask
//! `callable()` to tell them from functions; so this is an object of its own.
//!
//! Ownership: the callback owns the coroutine, and whoever watches the descriptor the callback.

use std::ffi::CStr;

use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{CallFn, ReprFn, TypeCell};
use crate::ffi::{NativeType, Obj, Py, PyResult, Slot, Visitor};

use super::{Coroutine, Routine};

/// The callback of one coroutine.
pub struct WhenReady {
    coroutine: Slot,
    /// Of the coroutine's type.
    ready: fn(&Obj) -> PyResult<()>,
}

static WHEN_READY: TypeCell = TypeCell::new();

impl WhenReady {
    /// The callback of a coroutine.
    pub fn of<R: Routine>(coroutine: &Py<Coroutine<R>>) -> PyResult<Obj> {
        let coroutine = Slot::from(coroutine.as_obj().clone());
        Py::new(Self { coroutine, ready: ready::<R> }).map(Py::into_obj)
    }
}

fn ready<R: Routine>(coroutine: &Obj) -> PyResult<()> {
    match Py::<Coroutine<R>>::from_exact(coroutine) {
        Some(this) => this.routine().ready(this),
        None => Ok(()),
    }
}

impl NativeType for WhenReady {
    const NAME: &'static CStr = c"batuta._batuta.WhenReady";
    const DOC: &'static CStr = c"Goes on with a coroutine whose descriptor is ready.";
    const POOL: usize = 64;
    const CALL: Option<CallFn<Self>> = Some(|this, _| match this.coroutine.get() {
        Some(coroutine) => (this.ready)(&coroutine).map(|()| Obj::none()),
        None => Ok(Obj::none()),
    });
    const REPR: Option<ReprFn<Self>> =
        Some(|this| Obj::str(&this.coroutine.get_or_none().repr_lossy()));

    fn cell() -> &'static TypeCell {
        &WHEN_READY
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.coroutine);
    }

    fn clear(&self) {
        self.coroutine.set(None);
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
