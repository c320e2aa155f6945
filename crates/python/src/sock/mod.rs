//! `loop.sock_recv()` and its kin: coroutines without a frame.
//!
//! Role: a `sock_*` call returns a coroutine whose routine is a [`SockOp`]. At the
//! beginning it tries the operation at once; if it would block, the coroutine
//! waits for a future, and the loop has the operation try again when the socket is ready,
//! which completes the future.
//!
//! The loop knows an operation as a [`Waiter`] (`event_loop/fds/waits.rs`). Where what is called
//! might be the program's own code (methods of a subclass, `__buffer__`, audit hooks), and in
//! debug mode, the coroutine is the callback of a handle instead, which has a context to run
//! in and can be named.
//!
//! Ownership: an op owns socket and arguments until it has finished, and its
//! watch while it waits. The loop's registry holds the coroutine meanwhile.
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

use crate::coroutine::{Coroutine, Routine, Step, WhenReady};
use crate::event_loop::NativeLoop;
use crate::ffi::native::TypeCell;
use crate::ffi::{Held, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::future::{Future, HasFuture};
use crate::handle::Handle;

pub use calls::load as load_calls;
pub use lookups::{SocketKind, Sockets};
use ops::{Attempt, Operation};

/// Looks up what the calls need of the `socket` module.
pub fn load() -> PyResult<()> {
    Sockets::load()
}

/// How an operation learns that its socket is ready.
enum Watch {
    /// As a watcher of the descriptor.
    Wait(RawFd),
    /// By the callback of a handle.
    Callback(RawFd, Py<Handle>),
}

/// What the coroutine of a `sock_*` call does.
pub struct SockOp {
    event_loop: Held<NativeLoop>,
    operation: Operation,
    /// What it waits for, completed by a later try.
    future: Slot,
    watch: RefCell<Option<Watch>>,
}

static SOCK_OP: TypeCell = TypeCell::new();

/// An operation that waits, as the loop knows it.
#[derive(Clone)]
pub struct Waiter(Py<Coroutine<SockOp>>);

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waiter").field(&self.0.routine().operation.method).finish()
    }
}

impl Waiter {
    /// The coroutine.
    pub fn as_obj(&self) -> &Obj {
        self.0.as_obj()
    }

    /// The socket is ready.
    pub fn try_again(&self) -> PyResult<()> {
        self.0.routine().try_again(&self.0)
    }
}

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

    /// Watches the socket.
    fn watch(&self, this: &Py<Coroutine<Self>>, event_loop: &Py<NativeLoop>) -> PyResult<()> {
        let side = self.operation.method.side();
        let watch = match self.operation.descriptor()? {
            Some(fd) if !event_loop.debug.get() => {
                event_loop.begin_wait(fd, side, Waiter(this.clone()))?;
                Watch::Wait(fd)
            }
            _ => {
                let sock = self.operation.sock();
                let (fd, handle) = event_loop.watch(&sock, side, &WhenReady::of(this)?)?;
                Watch::Callback(fd, handle)
            }
        };
        self.watch.replace(Some(watch));
        Ok(())
    }

    /// Tries again, and completes the future.
    fn try_again(&self, this: &Py<Coroutine<Self>>) -> PyResult<()> {
        let (Some(future), Some(event_loop)) = (self.future.get(), self.event_loop.get()) else {
            return Ok(());
        };
        let Some(waited) = Py::<Future>::from_exact(&future) else { return Ok(()) };
        let core = waited.future();
        if !core.is_pending() {
            // Cancelled: nothing may be taken from the socket any more.
            return self.unwatch(this);
        }
        match self.operation.attempt(&event_loop) {
            Ok(Attempt::Blocked) => Ok(()),
            Ok(Attempt::Done(value)) => {
                self.unwatch(this)?;
                core.set_result(&future, &value)
            }
            Err(raised) if raised.escapes() => Err(raised),
            Err(raised) => {
                let exception = raised.take();
                self.unwatch(this)?;
                core.set_exception(&future, &exception)
            }
        }
    }

    /// Ends the watch, if there is one.
    fn unwatch(&self, this: &Py<Coroutine<Self>>) -> PyResult<()> {
        let watch = self.watch.take();
        let Some(event_loop) = self.event_loop.get() else { return Ok(()) };
        let side = self.operation.method.side();
        match watch {
            None => Ok(()),
            Some(Watch::Wait(fd)) => {
                event_loop.end_wait(fd, side, this.as_obj());
                Ok(())
            }
            Some(Watch::Callback(fd, handle)) => event_loop.unwatch(fd, side, &handle),
        }
    }
}

impl Routine for SockOp {
    const TYPE: &'static CStr = c"batuta._batuta.SockOp";

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
        self.future.set(Some(future.clone()));
        self.watch(this, &event_loop)?;
        Ok(Step::Wait(future))
    }

    fn ready(&self, this: &Py<Coroutine<Self>>) -> PyResult<()> {
        self.try_again(this)
    }

    fn resume(&self, this: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        self.unwatch(this)?;
        match outcome {
            Ok(value) => Ok(Step::Done(value)),
            Err(exception) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.event_loop.slot());
        visitor.slot(&self.future);
        if let Ok(watch) = self.watch.try_borrow()
            && let Some(Watch::Callback(_, handle)) = &*watch
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
