//! `NativeLoop`: the native half of `batuta.EventLoop`.
//!
//! Role: ready queue, timers, file descriptors and the run loop. The Python
//! class `EventLoop(NativeLoop, asyncio.BaseEventLoop)` adds what runs once per
//! program or per connection.
//!
//! Ownership: the loop owns its ready entries, timers, the owners of its
//! descriptors, and the system's objects ([`Io`]) until `close()`.
//!
//! Invariants: no borrow of a `RefCell` here lasts across a call into Python,
//! and nothing that may run a finalizer is dropped while one is held.
//!
//! Thread: the thread that runs the loop, under the interpreter's lock; other
//! threads enter through `call_soon_threadsafe` only, and hold the lock, too.

mod by_hand;
mod c_task;
mod clock;
mod entry;
mod fds;
mod held;
mod originals;
mod ready;
mod replaced;
mod report;
mod root;
mod run;
mod running;
mod schedule;

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use batuta_engine::driver::{Driver, Epoll, EventBuffer, Interest, Trigger};
use batuta_engine::ready::ReadyQueue;
use batuta_engine::registry::Registry;
use batuta_engine::signals::SignalPipe;
use batuta_engine::timers::Timers;
use batuta_engine::turn::PollBudget;
use batuta_engine::waker::Waker;

use crate::address::KnownAddress;
use crate::ffi::context::Copies;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::resolve::Resolving;
use crate::transport::{
    DatagramTransport, ReadPipeTransport, StreamTransport, Windows, WritePipeTransport,
    accept_ready,
};

pub use by_hand::Chore;
use entry::Entry;
use fds::Watcher;
pub use fds::{Owner, Side};
use held::Held;
use originals::Originals;
pub use originals::Past;
pub use ready::{Due, Ready};
pub use replaced::HandleRun;
use replaced::Replaced;
use root::Root;
pub use running::{running_loop, running_loop_or_raise};

/// What the loop has of the system: gone after `close()`.
#[derive(Debug)]
pub struct Io {
    /// Readiness of descriptors.
    pub driver: Epoll,
    /// Wake-up from other threads.
    pub waker: Waker,
    /// Signals.
    pub signals: SignalPipe,
}

/// The native half of the loop.
pub struct NativeLoop {
    /// What runs next.
    ready: RefCell<ReadyQueue<Entry>>,
    /// What runs later.
    pub timers: RefCell<Timers<Due>>,
    /// Who owns which descriptor.
    pub registry: RefCell<Registry<Owner>>,
    /// Debug mode.
    pub debug: Cell<bool>,
    /// Counts the turns.
    pub turn: Cell<u64>,
    /// Who sends at the end of the turn.
    held: Held,
    /// How many descriptors are the loop's own.
    own_files: Cell<usize>,
    /// Whether the last `sock_recv` brought much, so that the next one may.
    pub large_sock_reads: Cell<bool>,
    /// The near end of the connection that was accepted last.
    pub near_address: KnownAddress,
    /// Where TLS connections receive and decrypt.
    pub tls: Windows,
    io: RefCell<Option<Rc<Io>>>,
    events: Cell<EventBuffer>,
    read_buffer: Cell<Vec<u8>>,
    budget: RefCell<PollBudget>,
    /// Whether a program has put something in the place of `_selector.select`, which is then what
    /// every turn asks.
    selects_by_program: Cell<bool>,
    /// Whether the loop's thread waits (or is about to) without the lock.
    polling: Cell<bool>,
    /// The signal pipe has something.
    signalled: Cell<bool>,
    stopping: Cell<bool>,
    closed: Cell<bool>,
    slow_callback_duration: Cell<f64>,
    thread_id: Slot,
    task_factory: Slot,
    current_handle: Slot,
    /// What the collector need not know.
    root: Root,
    /// Copies of contexts for callbacks.
    pub copies: Copies,
    /// The task whose step was the last entry that ran, while asyncio still has it as the
    /// current one.
    pub lingering: Slot,
    originals: Originals,
    replaced: Replaced,
    /// The names that are being looked up.
    pub resolving: Resolving,
    /// Answers of the resolver have arrived.
    answered: Cell<bool>,
}

impl std::fmt::Debug for NativeLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeLoop").field("closed", &self.closed).finish_non_exhaustive()
    }
}

static NATIVE_LOOP: TypeCell = TypeCell::new();

impl NativeLoop {
    fn create() -> PyResult<Self> {
        let io = Io::open().map_err(Raised::os_error)?;
        let event_loop = Self {
            ready: RefCell::default(),
            timers: RefCell::default(),
            registry: RefCell::default(),
            debug: Cell::new(false),
            turn: Cell::new(0),
            held: Held::new(),
            own_files: Cell::new(0),
            large_sock_reads: Cell::new(false),
            near_address: KnownAddress::default(),
            tls: Windows::default(),
            io: RefCell::new(None),
            events: Cell::default(),
            read_buffer: Cell::default(),
            budget: RefCell::default(),
            selects_by_program: Cell::new(false),
            polling: Cell::new(false),
            signalled: Cell::new(false),
            stopping: Cell::new(false),
            closed: Cell::new(false),
            slow_callback_duration: Cell::new(0.1),
            thread_id: Slot::default(),
            task_factory: Slot::default(),
            current_handle: Slot::default(),
            root: Root::default(),
            copies: Copies::default(),
            lingering: Slot::default(),
            originals: Originals::default(),
            replaced: Replaced::default(),
            resolving: Resolving::default(),
            answered: Cell::new(false),
        };
        event_loop.adopt(&io, io.waker_fd(), Owner::Waker, Trigger::Edge)?;
        event_loop.adopt(&io, io.signal_fd(), Owner::Signals, Trigger::Level)?;
        *event_loop.io.borrow_mut() = Some(Rc::new(io));
        Ok(event_loop)
    }

    /// Registers a descriptor of the loop's own.
    fn adopt(&self, io: &Io, fd: RawFd, owner: Owner, trigger: Trigger) -> PyResult<()> {
        self.own_files.set(self.own_files.get() + 1);
        if let Some((token, _)) = self.registry.borrow_mut().insert(fd, owner) {
            let read = Interest { read: true, write: false };
            io.driver.add(token, read, trigger).map_err(Raised::os_error)?;
        }
        Ok(())
    }

    /// Watches a waker of the loop's own.
    pub fn watch_waker(&self, fd: RawFd, owner: Owner) -> PyResult<()> {
        let io = self.io()?;
        self.adopt(&io, fd, owner, Trigger::Edge)
    }

    /// What the loop has of the system; `RuntimeError` after `close()`.
    pub fn io(&self) -> PyResult<Rc<Io>> {
        self.io.borrow().clone().ok_or_else(closed_error)
    }

    /// Lends the loop's one receive buffer, of `size` bytes: it stays hot in the
    /// processor's caches.
    #[inline]
    pub fn with_read_buffer<R>(&self, size: usize, body: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.read_buffer.take();
        if buffer.len() != size {
            buffer.resize(size, 0);
        }
        let result = body(&mut buffer);
        self.read_buffer.set(buffer);
        result
    }

    /// Whether `close()` was called.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Raises after `close()`.
    #[inline]
    pub fn check_closed(&self) -> PyResult<()> {
        if self.closed.get() { Err(closed_error()) } else { Ok(()) }
    }

    /// Lets go of everything: callbacks are dropped, descriptors unregistered
    /// and the loop's own ones closed.
    fn release(&self) {
        let ready = self.ready.borrow_mut().take();
        let timers = self.timers.borrow_mut().take();
        let owners = self.registry.borrow_mut().take();
        let io = self.io.borrow_mut().take();
        self.current_handle.set(None);
        self.replaced.clear();
        self.near_address.forget();
        self.held.clear();
        self.resolving.clear();
        drop((ready, timers, owners, io));
        self.copies.clear();
    }

    fn close(this: &Py<Self>) -> PyResult<()> {
        if this.thread_id.is_some() {
            return Err(Raised::runtime_error("Cannot close a running event loop"));
        }
        this.closed.set(true);
        this.release();
        Ok(())
    }
}

#[cold]
fn closed_error() -> Raised {
    Raised::runtime_error("Event loop is closed")
}

impl Io {
    fn open() -> rustix::io::Result<Self> {
        Ok(Self { driver: Epoll::new()?, waker: Waker::new()?, signals: SignalPipe::new()? })
    }

    fn waker_fd(&self) -> i32 {
        use std::os::fd::AsFd;
        self.waker.as_fd().as_raw_fd()
    }

    fn signal_fd(&self) -> i32 {
        self.signals.read_end().as_raw_fd()
    }
}

impl NativeType for NativeLoop {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.NativeLoop";
    const DOC: &'static std::ffi::CStr =
        c"Ready queue, timers, descriptors and run loop of batuta.EventLoop.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(Self::create);
    const ASSIGNED: Option<AssignedFn<Self>> = Some(Self::assigned);

    fn cell() -> &'static TypeCell {
        &NATIVE_LOOP
    }

    fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(ready) = self.ready.try_borrow() {
            ready.iter().for_each(|entry| entry.look_at(|ready| ready.traverse(visitor)));
        }
        if let Ok(timers) = self.timers.try_borrow() {
            timers.iter().for_each(|timer| timer.traverse(visitor));
        }
        if let Ok(registry) = self.registry.try_borrow() {
            registry.iter().for_each(|(_, owner)| owner.traverse(visitor));
        }
        self.held.traverse(visitor);
        self.resolving.traverse(visitor);
        self.near_address.traverse(visitor);
        visitor.slot(&self.thread_id);
        visitor.slot(&self.task_factory);
        visitor.slot(&self.current_handle);
        visitor.slot(&self.lingering);
        self.replaced.traverse(visitor);
        self.copies.traverse(visitor);
    }

    fn clear(&self) {
        self.release();
        self.task_factory.set(None);
        self.thread_id.set(None);
    }

    fn methods() -> Methods<Self> {
        let methods = Methods::new()
            .noargs(
                c"time",
                c"time($self)\n--\n\nReturn the loop's time, time.monotonic(), as a float of seconds.",
                |_: &Py<Self>| clock::time(),
            )
            .noargs(
                c"is_running",
                c"is_running($self)\n--\n\nReturn True if the event loop is running.",
                |this: &Py<Self>| Ok(this.thread_id.is_some()),
            )
            .noargs(
                c"is_closed",
                c"is_closed($self)\n--\n\nReturn True if the event loop was closed.",
                |this: &Py<Self>| Ok(this.is_closed()),
            )
            .noargs(
                c"get_debug",
                c"get_debug($self)\n--\n\nReturn True in debug mode.",
                |this: &Py<Self>| Ok(this.debug.get()),
            )
            .noargs(
                c"stop",
                c"stop($self)\n--\n\nStop running after the present turn: callbacks already scheduled \
                  still run.",
                |this: &Py<Self>| {
                    this.stopping.set(true);
                    Ok(())
                },
            )
            .noargs(
                c"_check_closed",
                c"Raise RuntimeError if the event loop is closed.",
                |this: &Py<Self>| this.check_closed(),
            )
            .noargs(c"_close_native", c"Drop callbacks, close descriptors.", Self::close)
            .noargs(
                c"_take_signals",
                c"Return the numbers of the signals that have come to the loop's pipe.",
                |this: &Py<Self>| Obj::bytes(&this.io()?.signals.drain()),
            )
            .noargs(c"_run_turns", c"Run turns until stop() was called.", Self::run_turns)
            .args(
                c"_make_socket_transport",
                c"Return a transport for a connected stream socket.",
                |this: &Py<Self>, args: &Args<'_>| {
                    StreamTransport::make(this, args).map(Py::into_obj)
                },
            )
            .args(
                c"_accept_ready",
                c"Accept what waits at a listening socket: the reader of a plain server.",
                |this: &Py<Self>, args: &Args<'_>| accept_ready(this, args),
            )
            .args(
                c"_make_read_pipe_transport",
                c"Return a transport for the reading end of a pipe.",
                |this: &Py<Self>, args: &Args<'_>| {
                    ReadPipeTransport::make(this, args).map(Py::into_obj)
                },
            )
            .args(
                c"_make_write_pipe_transport",
                c"Return a transport for the writing end of a pipe.",
                |this: &Py<Self>, args: &Args<'_>| {
                    WritePipeTransport::make(this, args).map(Py::into_obj)
                },
            )
            .args(
                c"_make_datagram_transport",
                c"Return a transport for a datagram socket.",
                |this: &Py<NativeLoop>, args: &Args<'_>| {
                    DatagramTransport::make(this, args).map(Py::into_obj)
                },
            )
            .noargs(c"_run_once", c"Run one turn.", Self::run_one_turn);
        fds::methods(by_hand::methods(schedule::methods(methods)))
    }

    fn properties() -> Properties<Self> {
        by_hand::properties(Properties::new())
            .flag(c"_debug", |this: &Py<Self>| &this.debug)
            .flag(c"_closed", |this: &Py<Self>| &this.closed)
            .flag(c"_stopping", |this: &Py<Self>| &this.stopping)
            .flag(c"_selects_by_program", |this: &Py<Self>| &this.selects_by_program)
            .slot(c"_thread_id", |this: &Py<Self>| &this.thread_id)
            .get_set(
                c"slow_callback_duration",
                |this: &Py<Self>| Ok(this.slow_callback_duration.get()),
                |this: &Py<Self>, value: &Obj| {
                    this.slow_callback_duration.set(value.to_f64()?);
                    Ok(())
                },
            )
            .get_set(
                c"coalesce_writes",
                |this: &Py<Self>| Ok(this.coalesces_writes()),
                |this: &Py<Self>, value: &Obj| {
                    this.set_coalesce_writes(value.is_true()?);
                    Ok(())
                },
            )
            .slot(c"_task_factory", |this: &Py<Self>| &this.task_factory)
            .slot(c"_current_handle", |this: &Py<Self>| &this.current_handle)
            .get(c"_signal_fd", |this: &Py<Self>| {
                Obj::int(i64::from(this.io()?.signals.write_end().as_raw_fd()))
            })
    }
}
