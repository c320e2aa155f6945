//! What `await` goes through when it awaits a future: an iterator that gives the
//! future to the task once, and then has its result.

use std::cell::RefCell;
use std::ffi::CStr;

use crate::ffi::call::Sent;
use crate::ffi::exception::thrown;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{SendFn, TypeCell, sent_or_stop};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};

use super::{Awaited, FutureCore};

/// The iterator of futures and tasks.
#[derive(Debug)]
pub struct FutureIter(RefCell<Option<Awaited>>);

static FUTURE_ITER: TypeCell = TypeCell::new();

impl FutureIter {
    /// `future.__await__()`.
    pub fn make(awaited: Awaited) -> PyResult<Obj> {
        awaited.core().check_alive()?;
        Py::new(Self(RefCell::new(Some(awaited)))).map(Py::into_obj)
    }

    #[inline]
    fn send(this: &Py<Self>, _: &Obj) -> PyResult<Sent> {
        let Some(awaited) = this.0.borrow().clone() else {
            return Ok(Sent::Returned(Obj::none()));
        };
        let core: &FutureCore = awaited.core();
        if core.is_pending() {
            if core.blocking.get() {
                return Err(Raised::runtime_error("await wasn't used with future"));
            }
            core.blocking.set(true);
            return Ok(Sent::Yielded(awaited.as_obj().clone()));
        }
        this.release();
        core.result().map(Sent::Returned)
    }

    fn release(&self) {
        let former = self.0.take();
        drop(former);
    }

    fn throw(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let ([first], rest) = args.split::<1>("throw")?;
        if rest.len() > 2 {
            let given = rest.len() + 1;
            return Err(Raised::type_error(&format!(
                "throw expected at most 3 arguments, got {given}"
            )));
        }
        #[cfg(Py_3_12)]
        if !rest.is_empty() {
            crate::ffi::error::deprecation_warning(
                c"the (type, exc, tb) signature of throw() is deprecated, \
                  use the single-arg signature instead.",
            )?;
        }
        let value = rest.first().and_then(Obj::non_none);
        let raised = thrown(first, value, rest.get(1).and_then(Obj::non_none));
        let exception = raised.take();
        this.release();
        Err(Raised::restore(exception))
    }
}

impl NativeType for FutureIter {
    const NAME: &'static CStr = c"batuta._batuta.FutureIter";
    const DOC: &'static CStr = c"The iterator of a future.";
    const POOL: usize = 256;
    const SEND: Option<SendFn<Self>> = Some(Self::send);

    fn cell() -> &'static TypeCell {
        &FUTURE_ITER
    }

    fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(awaited) = self.0.try_borrow()
            && let Some(awaited) = &*awaited
        {
            visitor.obj(awaited.as_obj());
        }
    }

    fn clear(&self) {
        self.release();
    }

    fn methods() -> Methods<Self> {
        Methods::new()
            .one(c"send", c"Go on.", |this: &Py<Self>, value: &Obj| {
                sent_or_stop(Self::send(this, value))
            })
            .args(c"throw", c"Raise an exception here.", Self::throw)
            .noargs(c"close", c"Give up waiting.", |this: &Py<Self>| {
                this.release();
                Ok(())
            })
    }

    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
