//! `ThreadSafeHandle`: what `call_soon_threadsafe` returns from 3.14 on.
//!
//! A thread that cancels it, or asks whether it is cancelled, while the loop's
//! thread is running its callback waits until the callback has finished; the
//! callback itself does not.
//!
//! Thread: any. The interpreter's lock guards the fields; it is given up while
//! waiting.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::ffi::gil;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::{NativeType, Obj, Py, PyResult, Visitor};

use super::{Core, HasCore, RunBy, methods, properties};
use crate::event_loop::NativeLoop;

/// Threads that wait for a callback to finish; one pair serves all handles,
/// because waiting is rare.
static WAITING: AtomicUsize = AtomicUsize::new(0);
static FINISHED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// A waiter looks again after this time even if nobody tells it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A handle that other threads may cancel.
#[derive(Debug)]
pub struct ThreadSafeHandle {
    core: Core,
    /// The thread that is running the callback, zero if none.
    running_in: Cell<u64>,
}

static THREAD_SAFE_HANDLE: TypeCell = TypeCell::new();

impl ThreadSafeHandle {
    /// A handle with this callback.
    pub fn new(core: Core) -> Self {
        Self { core, running_in: Cell::new(0) }
    }

    /// Runs the callback.
    pub fn run_in(this: &Py<Self>, event_loop: &Py<NativeLoop>, by: RunBy) -> PyResult<()> {
        let former = this.running_in.replace(gil::thread_ident());
        let result = event_loop.run_handle(this.as_obj(), &this.core, by);
        this.running_in.set(former);
        if WAITING.load(Ordering::SeqCst) > 0 {
            let (_, finished) = &FINISHED;
            finished.notify_all();
        }
        result
    }
}

impl HasCore for ThreadSafeHandle {
    #[inline]
    fn core(&self) -> &Core {
        &self.core
    }

    fn settle(&self) {
        let this_thread = gil::thread_ident();
        while ![0, this_thread].contains(&self.running_in.get()) {
            WAITING.fetch_add(1, Ordering::SeqCst);
            gil::without(|| {
                let (mutex, finished) = &FINISHED;
                let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
                drop(finished.wait_timeout(guard, LOOK_AGAIN));
            });
            WAITING.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn run(this: &Py<Self>) -> PyResult<()> {
        let event_loop = this.core.event_loop.get_or_none();
        match Py::<NativeLoop>::from_instance(&event_loop) {
            Some(event_loop) => Self::run_in(this, event_loop, RunBy::Hand),
            None => Ok(()), // The collector has emptied it.
        }
    }
}

impl NativeType for ThreadSafeHandle {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta._ThreadSafeHandle";
    const DOC: &'static std::ffi::CStr =
        c"A callback scheduled by call_soon_threadsafe(). See asyncio.Handle.";
    const POOL: usize = 16_384;

    fn cell() -> &'static TypeCell {
        &THREAD_SAFE_HANDLE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.core.traverse(visitor);
    }

    fn clear(&self) {
        self.core.clear();
    }

    fn methods() -> Methods<Self> {
        methods()
    }

    fn properties() -> Properties<Self> {
        properties().get(c"_lock", |_: &Py<Self>| Ok(Obj::none()))
    }
}
