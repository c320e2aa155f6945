//! A coroutine as a Python object.
//!
//! `collections.abc.Coroutine` goes by the methods `send`, `throw`, `close` and
//! `__await__`, so asyncio takes one wherever it takes a coroutine object. For who
//! looks for frames, `cr_frame` and `cr_code` are those of the Python function whose
//! place it takes (`batuta.frames`).

use std::ffi::CStr;

use crate::ffi::method::{Methods, Properties};
use crate::ffi::module::{import, is_finalizing};
use crate::ffi::native::{AwaitFn, ReprFn, SendFn, TypeCell, sent_or_stop};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};

use super::{Coroutine, Phase, Routine, Wrapper, origin};

impl<R: Routine> Coroutine<R> {
    fn throw_method(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let ([what], rest) = args.split::<1>("throw")?;
        let raised = Raised::thrown(what, rest.first(), rest.get(1));
        if !what.is_exception() && !what.is_exception_class() {
            return Err(raised); // Nothing that can be thrown: the coroutine goes on.
        }
        let exception = raised.take();
        sent_or_stop(Self::throw(this, exception))
    }

    /// `__del__`: warns if nobody has awaited it; ends it where it waits.
    #[inline]
    fn abandoned(this: &Py<Self>) {
        match this.phase.get() {
            Phase::Finished | Phase::Running => {}
            Phase::Created | Phase::Waiting => Self::abandoned_early(this),
        }
    }

    #[cold]
    fn abandoned_early(this: &Py<Self>) {
        if this.phase.get() == Phase::Created
            && let Err(raised) = origin::warn_unawaited(this.as_obj(), this.routine.qualname())
        {
            raised.unraisable(this.as_obj());
        }
        if let Err(raised) = Self::close(this) {
            raised.unraisable(this.as_obj());
        }
    }
}

impl<R: Routine> NativeType for Coroutine<R> {
    const NAME: &'static CStr = R::TYPE;
    const DOC: &'static CStr = c"A coroutine.";
    const WEAK: bool = true;
    const POOL: usize = R::POOL;
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Self::abandoned);
    const REPR: Option<ReprFn<Self>> = Some(|this| {
        let (name, address) = (this.routine.qualname(), this.as_obj().as_ptr());
        Obj::str(&format!("<coroutine object {name} at {address:p}>"))
    });
    const SEND: Option<SendFn<Self>> = Some(Self::send);
    const IS_COROUTINE: bool = true;
    const AWAIT: Option<AwaitFn<Self>> = Some(|this| match this.phase.get() {
        Phase::Waiting => Err(Raised::runtime_error("coroutine is being awaited already")),
        _ => Ok(()),
    });

    fn cell() -> &'static TypeCell {
        R::cell()
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.awaited);
        visitor.slot(&self.origin);
        self.routine.traverse(visitor);
    }

    fn clear(&self) {
        self.finish();
        self.origin.set(None);
    }

    fn ends_quietly(&self) -> bool {
        self.phase.get() == Phase::Finished
    }

    fn methods() -> Methods<Self> {
        Methods::new()
            .one(c"send", c"Resume the coroutine with a value.", |this: &Py<Self>, value: &Obj| {
                sent_or_stop(Self::send(this, value))
            })
            .args(c"throw", c"Raise an exception where the coroutine waits.", Self::throw_method)
            .noargs(c"close", c"End the coroutine where it waits.", Self::close)
            .in_the_place_of_a_slot(
                c"__await__",
                c"Return an iterator over the coroutine.",
                |this: &Py<Self>| Wrapper::of(this.as_obj()),
            )
    }

    fn properties() -> Properties<Self> {
        Properties::new()
            .get(c"__name__", |this: &Py<Self>| {
                let qualname = this.routine.qualname();
                Obj::str(qualname.rsplit('.').next().unwrap_or(qualname))
            })
            .get(c"__qualname__", |this: &Py<Self>| Obj::str(this.routine.qualname()))
            .get(c"cr_code", |this: &Py<Self>| model(c"code", this.as_obj()))
            .get(c"cr_frame", |this: &Py<Self>| match this.phase.get() {
                Phase::Finished => Ok(Obj::none()),
                _ => model(c"frame", this.as_obj()),
            })
            .get(c"cr_await", |this: &Py<Self>| Ok(this.awaited.get()))
            .get(c"cr_origin", |this: &Py<Self>| Ok(this.origin.get()))
            .get(c"cr_running", |this: &Py<Self>| Ok(this.phase.get() == Phase::Running))
            .get(c"cr_suspended", |this: &Py<Self>| Ok(this.phase.get() == Phase::Waiting))
            .get(c"cr_state", |this: &Py<Self>| Obj::str(this.phase.get().name()))
    }
}

/// What `batuta.frames` knows of a coroutine; nothing at the end of the interpreter, which
/// imports no more.
fn model(what: &CStr, coroutine: &Obj) -> PyResult<Obj> {
    if is_finalizing() {
        return Ok(Obj::none());
    }
    import(c"batuta.frames")?.attr(what)?.call1(coroutine)
}
