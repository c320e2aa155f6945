//! `SockOp` as a Python object: what coroutine objects have.
//!
//! `collections.abc.Coroutine` goes by the methods `send`, `throw`, `close` and
//! `__await__`, so asyncio takes an op wherever it takes a coroutine.

use crate::asyncio::Asyncio;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::module::import;
use crate::ffi::native::{AwaitFn, CallFn, ReprFn, SendFn, TypeCell, sent_or_stop};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};

use super::lookups::Sockets;
use super::{SockOp, State};

static SOCK_OP: TypeCell = TypeCell::new();

/// Where the running Python code stands, as `coroutine.cr_origin` says it.
#[cold]
pub(super) fn origin() -> PyResult<Option<Obj>> {
    let depth = import(c"sys")?.attr(c"get_coroutine_origin_tracking_depth")?.call0()?.to_i64()?;
    if depth <= 0 {
        return Ok(None);
    }
    let mut frame = Asyncio::get().getframe.call0()?;
    let mut places = Vec::new();
    for _ in 0..depth {
        if frame.is_none() {
            break;
        }
        let code = frame.attr(c"f_code")?;
        places.push(Obj::tuple(&[
            code.attr(c"co_filename")?,
            frame.attr(c"f_lineno")?,
            code.attr(c"co_name")?,
        ])?);
        frame = frame.attr(c"f_back")?;
    }
    Obj::tuple(&places).map(Some)
}

impl Py<SockOp> {
    fn throw(&self, args: &Args<'_>) -> PyResult<Obj> {
        let ([what], rest) = args.split::<1>("throw")?;
        let reused = matches!(&*self.state.borrow(), State::Finished);
        if reused {
            return Err(Raised::runtime_error("cannot reuse already awaited coroutine"));
        }
        self.stop()?;
        Err(Raised::thrown(what, rest.first(), rest.get(1)))
    }

    /// `__del__`: warns if nobody has awaited it.
    fn abandoned(&self) {
        if !matches!(&*self.state.borrow(), State::Created) {
            return;
        }
        if let Err(raised) = Sockets::get().warn_unawaited.call1(self.as_obj()) {
            raised.unraisable(self.as_obj());
        }
        self.state.replace(State::Finished);
    }

    fn qualified_name(&self) -> String {
        format!("EventLoop.{}", self.operation.method.name())
    }
}

impl NativeType for SockOp {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.SockOp";
    const DOC: &'static std::ffi::CStr = c"The coroutine of a call such as loop.sock_recv().";
    const WEAK: bool = true; // As coroutine objects.
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Py::<Self>::abandoned);
    const REPR: Option<ReprFn<Self>> = Some(|this| {
        let address = this.as_obj().as_ptr();
        Obj::str(&format!("<coroutine object {} at {address:p}>", this.qualified_name()))
    });
    const CALL: Option<CallFn<Self>> = Some(|this, _| this.ready().map(|()| Obj::none()));
    const SEND: Option<SendFn<Self>> = Some(Py::<Self>::resume);
    const AWAIT: Option<AwaitFn<Self>> = Some(|this| match &*this.state.borrow() {
        State::Waiting(_) => Err(Raised::runtime_error("coroutine is being awaited already")),
        _ => Ok(()),
    });

    fn cell() -> &'static TypeCell {
        &SOCK_OP
    }

    fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(event_loop) = self.event_loop.try_borrow()
            && let Some(event_loop) = event_loop.as_ref()
        {
            visitor.obj(event_loop.as_obj());
        }
        if let Ok(state) = self.state.try_borrow()
            && let State::Waiting(waiting) = &*state
        {
            visitor.obj(&waiting.future);
            visitor.obj(&waiting.iterator);
            visitor.obj(waiting.handle.as_obj());
        }
        self.operation.traverse(visitor);
        visitor.slot(&self.origin);
    }

    fn clear(&self) {
        let state = self.state.replace(State::Finished);
        let event_loop = self.event_loop.take();
        drop((state, event_loop));
        self.operation.release();
    }

    fn methods() -> Methods<Self> {
        Methods::new()
            .one(c"send", c"Resume the coroutine with a value.", |this: &Py<Self>, value: &Obj| {
                sent_or_stop(this.resume(value))
            })
            .args(
                c"throw",
                c"Raise an exception where the coroutine waits.",
                |this: &Py<Self>, args: &Args<'_>| this.throw(args),
            )
            .noargs(c"close", c"End the coroutine where it waits.", |this: &Py<Self>| this.stop())
    }

    fn properties() -> Properties<Self> {
        Properties::new()
            .get(c"__name__", |this: &Py<Self>| Obj::str(this.operation.method.name()))
            .get(c"__qualname__", |this: &Py<Self>| Obj::str(&this.qualified_name()))
            .get(c"cr_origin", |this: &Py<Self>| Ok(this.origin.get()))
            .get(c"cr_running", |this: &Py<Self>| {
                Ok(matches!(&*this.state.borrow(), State::Running))
            })
    }
}
