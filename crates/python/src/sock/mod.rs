//! `loop.sock_recv()` and its kin: coroutines without a frame.
//!
//! Role: a `sock_*` call returns a [`SockOp`], which behaves as a coroutine
//! object does. The first `send` tries the operation at once; if it would block,
//! the op watches the socket's descriptor as a reader or writer of the loop and
//! waits for a future, exactly as `await future` does. The op is the callback of
//! its own watch: it tries again and completes the future.
//!
//! Ownership: an op owns socket and arguments until it has finished, and its
//! watch while it waits. The loop's registry holds the op through the handle of
//! that watch.
//!
//! States ([`State`]):
//!
//! ```text
//! Created --send--> Running --would block--> Waiting --send, future done--> Finished
//!    |                 `------result, error--------|-------> Finished
//!    `--throw, close-------------------------------'-------> Finished
//! ```
//!
//! Invariant: a watch is ended when the operation has completed or the op stops
//! waiting, and only if the descriptor still has it: a number that has gone to
//! another file is never disturbed.
//!
//! Thread: the loop's.
//!
//! Files: this one is the state machine; `awaitable` shows it to Python, `calls`
//! makes it; `ops` is what it does, by the system call (`system`) or by the
//! socket object's own methods (`own`).

mod awaitable;
mod calls;
mod lookups;
mod ops;
mod own;
mod system;

use std::cell::RefCell;
use std::os::fd::RawFd;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::call::Sent;
use crate::ffi::{Obj, Py, PyResult, Raised, Slot};
use crate::handle::Handle;

pub use calls::methods;
use lookups::Sockets;
use ops::{Attempt, Operation};

/// Looks up what the calls need of the `socket` module.
pub fn load() -> PyResult<()> {
    Sockets::load()
}

/// What an op waits for.
struct Waiting {
    future: Obj,
    /// `future.__await__()`
    iterator: Obj,
    fd: RawFd,
    handle: Py<Handle>,
}

/// How far a coroutine has come.
enum State {
    /// Nobody has awaited it.
    Created,
    /// Inside of `send()`, `throw()` or `close()`.
    Running,
    /// Its future was given to the task.
    Waiting(Waiting),
    /// It has returned or raised.
    Finished,
}

/// What a `sock_*` call returns.
pub struct SockOp {
    event_loop: RefCell<Option<Py<NativeLoop>>>,
    operation: Operation,
    state: RefCell<State>,
    /// Where it was made, in debug mode.
    origin: Slot,
}

impl Py<SockOp> {
    /// `coroutine.send(value)`
    fn resume(&self, value: &Obj) -> PyResult<Sent> {
        match self.state.replace(State::Running) {
            State::Created if !value.is_none() => {
                self.state.replace(State::Created);
                let message = "can't send non-None value to a just-started coroutine";
                Err(Raised::type_error(message))
            }
            State::Created => self.start().map_err(|raised| self.failed(None, raised)),
            State::Running => Err(Raised::value_error("coroutine already executing")),
            State::Waiting(waiting) => match waiting.iterator.send(value) {
                Ok(Sent::Yielded(value)) => {
                    self.state.replace(State::Waiting(waiting));
                    Ok(Sent::Yielded(value))
                }
                Ok(Sent::Returned(value)) => {
                    self.finish(Some(&waiting))?;
                    Ok(Sent::Returned(value))
                }
                Err(raised) => Err(self.failed(Some(&waiting), raised)),
            },
            State::Finished => {
                self.state.replace(State::Finished);
                Err(Raised::runtime_error("cannot reuse already awaited coroutine"))
            }
        }
    }

    /// The first step.
    fn start(&self) -> PyResult<Sent> {
        let event_loop = self.event_loop.borrow().clone();
        let Some(event_loop) = event_loop else {
            return Err(Raised::runtime_error("cannot reuse already awaited coroutine"));
        };
        match self.operation.begin(&event_loop)? {
            Attempt::Done(value) => {
                self.finish(None)?;
                Ok(Sent::Returned(value))
            }
            Attempt::Blocked => self.wait(&event_loop),
        }
    }

    /// Begins to wait.
    fn wait(&self, event_loop: &Py<NativeLoop>) -> PyResult<Sent> {
        let future = NativeLoop::create_future(event_loop)?;
        let iterator = future.call_method0(&names().__await__)?;
        let sock = self.operation.sock();
        let (fd, handle) = event_loop.watch(&sock, self.operation.method.side(), self.as_obj())?;
        let waiting = Waiting { future, iterator, fd, handle };
        let sent = waiting.iterator.send(&Obj::none());
        match sent {
            Ok(Sent::Yielded(value)) => {
                self.state.replace(State::Waiting(waiting));
                Ok(Sent::Yielded(value))
            }
            Ok(Sent::Returned(value)) => {
                self.finish(Some(&waiting))?;
                Ok(Sent::Returned(value))
            }
            Err(raised) => Err(self.failed(Some(&waiting), raised)),
        }
    }

    /// The socket is ready: tries again, and completes the future.
    fn ready(&self) -> PyResult<()> {
        let (future, event_loop) = match (&*self.state.borrow(), &*self.event_loop.borrow()) {
            (State::Waiting(waiting), Some(event_loop)) => {
                (waiting.future.clone(), event_loop.clone())
            }
            _ => return Ok(()),
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

    /// Ends the watch of an op that waits.
    fn unwatch(&self) -> PyResult<()> {
        let watch = match &*self.state.borrow() {
            State::Waiting(waiting) => (waiting.fd, waiting.handle.clone()),
            _ => return Ok(()),
        };
        self.end_watch(watch.0, &watch.1)
    }

    fn end_watch(&self, fd: RawFd, handle: &Py<Handle>) -> PyResult<()> {
        let event_loop = self.event_loop.borrow().clone();
        match event_loop {
            Some(event_loop) => event_loop.unwatch(fd, self.operation.method.side(), handle),
            None => Ok(()),
        }
    }

    /// The end: lets go of everything.
    fn finish(&self, waiting: Option<&Waiting>) -> PyResult<()> {
        let ended = match waiting {
            Some(waiting) => self.end_watch(waiting.fd, &waiting.handle),
            None => Ok(()),
        };
        self.state.replace(State::Finished);
        self.operation.release();
        let event_loop = self.event_loop.take();
        drop(event_loop);
        ended
    }

    /// The end by an exception, which is handed on.
    #[cold]
    fn failed(&self, waiting: Option<&Waiting>, raised: Raised) -> Raised {
        let exception = raised.take();
        match self.finish(waiting) {
            Ok(()) => Raised::restore(exception),
            Err(raised) => raised,
        }
    }

    /// The end from outside, before a result: `throw()` and `close()`.
    fn stop(&self) -> PyResult<()> {
        match self.state.replace(State::Running) {
            State::Running => Err(Raised::value_error("coroutine already executing")),
            State::Waiting(waiting) => self.finish(Some(&waiting)),
            State::Created | State::Finished => self.finish(None),
        }
    }
}
