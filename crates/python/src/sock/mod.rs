//! `loop.sock_recv()` and its kin: coroutines without a frame.
//!
//! Role: a `sock_*` call returns a coroutine whose routine is a [`SockOp`]. At the
//! beginning it tries the operation at once; if it would block, the coroutine
//! watches the socket's descriptor as a reader or writer of the loop and waits for
//! a future. The coroutine is the callback of its own watch: called, it tries again
//! and completes the future.
//!
//! Ownership: an op owns socket and arguments until it has finished, and its
//! watch while it waits. The loop's registry holds the coroutine through the handle
//! of that watch.
//!
//! Invariant: a watch is ended when the operation has completed or the op stops
//! waiting, and only if the descriptor still has it: a number that has gone to
//! another file is never disturbed.
//!
//! Thread: the loop's.
//!
//! Files: this one is the routine; `calls` makes it; `ops` is what it does, by the
//! system call (`system`) or by the socket object's own methods (`own`).

mod calls;
mod lookups;
mod ops;
mod own;
mod system;

use std::cell::RefCell;
use std::ffi::CStr;
use std::os::fd::RawFd;

use crate::asyncio::names;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::NativeLoop;
use crate::ffi::native::{CallFn, TypeCell};
use crate::ffi::{Held, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::handle::Handle;

pub use calls::methods;
pub use lookups::{SocketKind, Sockets};
use ops::{Attempt, Operation};

/// Looks up what the calls need of the `socket` module.
pub fn load() -> PyResult<()> {
    Sockets::load()
}

/// What the coroutine of a `sock_*` call does.
pub struct SockOp {
    event_loop: Held<NativeLoop>,
    operation: Operation,
    /// What it waits for, completed by a later try.
    future: Slot,
    /// How it learns that the socket is ready.
    watch: RefCell<Option<(RawFd, Py<Handle>)>>,
}

static SOCK_OP: TypeCell = TypeCell::new();

impl SockOp {
    /// The coroutine of a call.
    fn make(event_loop: &Py<NativeLoop>, operation: Operation) -> PyResult<Obj> {
        Coroutine::make(Self {
            event_loop: Held::from(event_loop),
            operation,
            future: Slot::default(),
            watch: RefCell::default(),
        })
    }

    /// The socket is ready: tries again, and completes the future.
    fn ready(&self) -> PyResult<()> {
        let (Some(future), Some(event_loop)) = (self.future.get(), self.event_loop.get()) else {
            return Ok(());
        };
        if future.call_method0(&names().done)?.is_true()? {
            // Cancelled: nothing may be taken from the socket any more.
            return self.unwatch();
        }
        match self.operation.attempt(&event_loop) {
            Ok(Attempt::Blocked) => Ok(()),
            Ok(Attempt::Done(value)) => {
                self.unwatch()?;
                future.call_method1(&names().set_result, &value).map(drop)
            }
            Err(raised) if raised.escapes() => Err(raised),
            Err(raised) => {
                let exception = raised.take();
                self.unwatch()?;
                future.call_method1(&names().set_exception, &exception).map(drop)
            }
        }
    }

    /// Ends the watch, if there is one.
    fn unwatch(&self) -> PyResult<()> {
        let watch = self.watch.take();
        match (watch, self.event_loop.get()) {
            (Some((fd, handle)), Some(event_loop)) => {
                event_loop.unwatch(fd, self.operation.method.side(), &handle)
            }
            _ => Ok(()),
        }
    }
}

impl Routine for SockOp {
    const TYPE: &'static CStr = c"batuta._batuta.SockOp";
    const CALL: Option<CallFn<Coroutine<Self>>> =
        Some(|this, _| this.routine().ready().map(|()| Obj::none()));

    fn cell() -> &'static TypeCell {
        &SOCK_OP
    }

    fn qualname(&self) -> &'static str {
        self.operation.method.qualname()
    }

    fn begin(&self, this: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(event_loop) = self.event_loop.get() else { return Err(Raised::gone()) };
        if let Attempt::Done(value) = self.operation.begin(&event_loop)? {
            return Ok(Step::Done(value));
        }
        let future = NativeLoop::create_future(&event_loop)?;
        let (sock, side) = (self.operation.sock(), self.operation.method.side());
        self.future.set(Some(future.clone()));
        let watch = event_loop.watch(&sock, side, this.as_obj())?;
        self.watch.replace(Some(watch));
        Ok(Step::Wait(future))
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        self.unwatch()?;
        match outcome {
            Ok(value) => Ok(Step::Done(value)),
            Err(exception) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.event_loop.slot());
        visitor.slot(&self.future);
        if let Ok(watch) = self.watch.try_borrow()
            && let Some((_, handle)) = &*watch
        {
            visitor.obj(handle.as_obj());
        }
        self.operation.traverse(visitor);
    }

    fn clear(&self) {
        let watch = self.watch.take();
        drop(watch);
        self.future.set(None);
        self.operation.release();
        self.event_loop.release();
    }
}
