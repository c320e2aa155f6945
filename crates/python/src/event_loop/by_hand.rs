//! Turns that somebody else makes.
//!
//! Role: programs that run a loop inside a running one (`nest_asyncio`, debuggers) have a
//! `_run_once()` of their own, written for the inside of asyncio's loop. They ask `_selector` what
//! is ready and give the answer to `_process_events()`, move the timers that are due from
//! `_scheduled` to `_ready`, take handles from there and call their `_run()`. What that takes is
//! here; `batuta.selector_view` and `batuta.ready_view` give it asyncio's names. Others (`looptime`)
//! put a function of their own in the place of `_selector.select()`, by which the loop's own turns
//! go then.
//!
//! What native code has queued without a handle gets one when somebody looks at the queue: it
//! stays in its place and does the same. Alarms, which no handle stands for, are looked after by
//! [`NativeLoop::select`].
//!
//! Thread: the loop's; any other that holds the lock may look.

use std::cell::RefCell;
use std::ffi::CStr;

use batuta_engine::clock::Instant;

use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{CallFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};
#[cfg(Py_3_14)]
use crate::handle::ThreadSafeHandle;
use crate::handle::{Core, Handle, TimerHandle, foreign_is_cancelled};
use crate::task::{Task, TaskStep as NativeStep, settle};

use super::entry::Entry;
use super::ready::TaskStep;
use super::{Due, NativeLoop, Owner, Ready};

/// asyncio asks `select()` to wait no longer than a day (`MAXIMUM_SELECT_TIMEOUT`).
const MOST_NANOS: u64 = 24 * 3600 * 1_000_000_000;

/// An entry that has no Python object to call: an alarm, or a transport's event.
pub struct Chore {
    event_loop: Py<NativeLoop>,
    /// Gone when it has run.
    entry: RefCell<Option<Ready>>,
}

static CHORE: TypeCell = TypeCell::new();

impl std::fmt::Debug for Chore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chore").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Chore {
    fn make(event_loop: &Py<NativeLoop>, entry: Ready) -> PyResult<Obj> {
        let event_loop = event_loop.clone();
        Py::new(Self { event_loop, entry: RefCell::new(Some(entry)) }).map(Py::into_obj)
    }

    fn call(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let [] = args.exactly("Chore")?;
        let entry = this.entry.borrow_mut().take();
        if let Some(entry) = entry {
            this.event_loop.dispatch_other(entry)?;
        }
        Ok(Obj::none())
    }

    /// Whose it is.
    fn owner(&self) -> Option<Obj> {
        match &*self.entry.borrow() {
            Some(Ready::Alarm(alarm)) => Some(alarm.as_obj().clone()),
            Some(Ready::Io(event)) => {
                match self.event_loop.registry.borrow().resolve(event.token()) {
                    Some(Owner::Transport(transport)) => Some(transport.to_obj()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl NativeType for Chore {
    const NAME: &'static CStr = c"batuta._batuta.Chore";
    const DOC: &'static CStr = c"What the loop does for a timeout or a transport.";
    const CALL: Option<CallFn<Self>> = Some(Self::call);

    fn cell() -> &'static TypeCell {
        &CHORE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.obj(self.event_loop.as_obj());
        if let Ok(entry) = self.entry.try_borrow()
            && let Some(entry) = &*entry
        {
            entry.traverse(visitor);
        }
    }

    fn clear(&self) {
        let entry = self.entry.take();
        drop(entry);
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
            .get(c"__self__", |this: &Py<Self>| Ok(this.owner().unwrap_or_else(Obj::none)))
    }
}

/// The entry with a handle, made for it if it has none.
pub(super) fn with_handle(this: &Py<NativeLoop>, entry: Ready) -> PyResult<Ready> {
    let (callback, future, context) = match entry {
        Ready::Step(task, exception) => {
            (NativeStep::make(&task, exception)?, None, Some(task.context()))
        }
        Ready::Wakeup(task, future) => {
            (Task::wakeup_function(&task)?, Some(future), Some(task.context()))
        }
        Ready::TaskStep(step) => {
            let TaskStep { callable, future, context } = *step;
            (callable, future, Some(context))
        }
        Ready::Observer(observer, future) => (observer.callable()?, Some(future), None),
        entry @ (Ready::Alarm(_) | Ready::Io(_)) => (Chore::make(this, entry)?, None, None),
        entry => return Ok(entry),
    };
    let core = Core::new(this, &callback, future.as_slice(), context.as_ref())?;
    this.make_handle(Handle(core)).map(Ready::Handle)
}

impl Py<NativeLoop> {
    /// Has the program's own `_selector.select()` wait, at most `timeout` nanoseconds.
    #[cold]
    pub(super) fn select_by_program(&self, timeout: Option<u64>) -> PyResult<()> {
        let timeout = match timeout {
            Some(nanos) => Obj::float(Instant(nanos.min(MOST_NANOS)).as_secs_f64())?,
            None => Obj::none(),
        };
        settle(self)?;
        let selector = self.as_obj().attr(c"_selector")?;
        let events = selector.attr(c"select")?.call1(&timeout)?;
        self.as_obj().attr(c"_process_events")?.call1(&events).map(drop)
    }
}

impl NativeLoop {
    /// Queues a handle, before all others or behind them; a timer waits no longer for its time.
    fn queue_handle(this: &Py<Self>, handle: &Obj, first: bool) -> PyResult<()> {
        let entry = if let Some(native) = Py::<Handle>::from_exact(handle) {
            Ready::Handle(native.clone().into())
        } else if let Some(timer) = Py::<TimerHandle>::from_exact(handle) {
            timer.wait_no_longer();
            Ready::Timer(timer.clone().into())
        } else {
            Self::foreign_entry(handle)?
        };
        let mut ready = this.ready.borrow_mut();
        if first {
            ready.push_front(Entry::from(entry));
        } else {
            ready.push(Entry::from(entry));
        }
        Ok(())
    }

    #[cfg(Py_3_14)]
    fn foreign_entry(handle: &Obj) -> PyResult<Ready> {
        match Py::<ThreadSafeHandle>::from_exact(handle) {
            Some(handle) => Ok(Ready::ThreadSafe(handle.clone().into())),
            None => foreign_is_cancelled(handle).map(|_| Ready::Foreign(handle.clone())),
        }
    }

    #[cfg(not(Py_3_14))]
    fn foreign_entry(handle: &Obj) -> PyResult<Ready> {
        // Raises what a turn would raise, here, where somebody can see whose fault it is.
        foreign_is_cancelled(handle).map(|_| Ready::Foreign(handle.clone()))
    }

    /// `_add_callback(handle)`: queues a handle that was made elsewhere, unless it is cancelled.
    fn add_callback(this: &Py<Self>, handle: &Obj) -> PyResult<()> {
        if foreign_is_cancelled(handle)? {
            return Ok(());
        }
        Self::queue_handle(this, handle, false)
    }

    /// Takes the oldest handle out of the queue; nothing if the queue is empty.
    fn pop_handle(this: &Py<Self>) -> PyResult<Obj> {
        let oldest = this.ready.borrow_mut().pop();
        let Some(entry) = oldest else { return Ok(Obj::none()) };
        let entry = with_handle(this, Ready::from(entry))?;
        Ok(entry.handle().unwrap_or_else(Obj::none))
    }

    /// The handles of all that is queued, oldest first.
    fn queued_handles(this: &Py<Self>) -> PyResult<Obj> {
        let waiting = this.ready.borrow_mut().take();
        let mut result = Ok(());
        let mut entries = Vec::with_capacity(waiting.len());
        for entry in waiting {
            match with_handle(this, Ready::from(entry)) {
                Ok(entry) => entries.push(entry),
                Err(raised) => result = Err(raised),
            }
        }
        let handles: Vec<Obj> = entries.iter().filter_map(Ready::handle).collect();
        // Making handles may have run the collector, and finalizers that have queued something.
        let mut ready = this.ready.borrow_mut();
        let since = ready.take();
        for entry in entries.into_iter().map(Entry::from).chain(since) {
            ready.push(entry);
        }
        drop(ready);
        if !handles.is_empty() {
            // Meanwhile the loop's own thread may have found nothing to do.
            this.wake();
        }
        result.and_then(|()| Obj::list(&handles))
    }

    /// Empties the queue.
    fn clear_queue(this: &Py<Self>) {
        let waiting = this.ready.borrow_mut().take();
        drop(waiting);
    }

    /// `_selector.select(timeout)`: begins a turn. Waits until something happens, at most
    /// `timeout` seconds, and queues what that calls for, alarms that are due included; timers
    /// with handles are the caller's, who finds them in `_scheduled`. Says how much has happened.
    fn select(this: &Py<Self>, timeout: &Obj) -> PyResult<Obj> {
        let mut asked = match timeout.non_none() {
            Some(seconds) => Some(Instant::at_or_after(seconds.to_f64()?.max(0.0)).0),
            None => None,
        };
        if !this.ready.borrow().is_empty() {
            // A thread may have queued something since the caller has looked.
            asked = Some(0);
        }
        this.turn.set(this.turn.get().wrapping_add(1));
        if this.held.any() {
            this.send_held(Ok(()))?;
        }
        let due = this.time_to_next_timer(Instant::now())?;
        let wait = asked.into_iter().chain(due).min();
        let (found, now) = this.poll_counted(wait)?;
        let due_by = Self::due_by(this, now)?;
        let mut ready = this.ready.borrow_mut();
        this.timers.borrow_mut().take_due_if(
            due_by,
            |due| matches!(due, Due::Alarm(_)),
            |due| ready.push(Entry::from(Ready::from(due))),
        );
        drop(ready);
        Obj::size(found)
    }

    /// The timers' handles, soonest first, which is a heap as `heapq` has it.
    fn scheduled_handles(this: &Py<Self>) -> PyResult<Obj> {
        let mut timers: Vec<(f64, Obj)> = this
            .timers
            .borrow()
            .iter()
            .filter_map(|due| match due {
                Due::Handle(timer) => Some((timer.seconds(), timer.as_obj().clone())),
                Due::Alarm(_) => None,
            })
            .collect();
        timers.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let handles: Vec<Obj> = timers.into_iter().map(|(_, handle)| handle).collect();
        Obj::list(&handles)
    }
}

pub(super) fn methods(methods: Methods<NativeLoop>) -> Methods<NativeLoop> {
    methods
        .one(c"_add_callback", c"Queue a handle.", NativeLoop::add_callback)
        .one(
            c"_add_callback_signalsafe",
            c"Queue a handle and wake.",
            |this: &Py<NativeLoop>, handle: &Obj| {
                NativeLoop::add_callback(this, handle)?;
                this.wake();
                Ok(())
            },
        )
        .noargs(c"_count_queued", c"Return how much is queued.", |this: &Py<NativeLoop>| {
            Obj::size(this.ready.borrow().len())
        })
        .noargs(
            c"_queued_handles",
            c"Return the handles of all that is queued, oldest first.",
            NativeLoop::queued_handles,
        )
        .noargs(
            c"_pop_queued",
            c"Take the oldest handle out of the queue; None if there is none.",
            NativeLoop::pop_handle,
        )
        .one(
            c"_queue_last",
            c"Queue a handle behind all others.",
            |this: &Py<NativeLoop>, handle: &Obj| NativeLoop::queue_handle(this, handle, false),
        )
        .one(
            c"_queue_first",
            c"Queue a handle before all others.",
            |this: &Py<NativeLoop>, handle: &Obj| NativeLoop::queue_handle(this, handle, true),
        )
        .noargs(c"_clear_queue", c"Drop all that is queued.", |this: &Py<NativeLoop>| {
            NativeLoop::clear_queue(this);
            Ok(())
        })
        .one(
            c"_select",
            c"Begin a turn: wait for events, at most so many seconds, and queue what they call for.",
            NativeLoop::select,
        )
}

pub(super) fn properties(properties: Properties<NativeLoop>) -> Properties<NativeLoop> {
    properties.get_set(c"_scheduled", NativeLoop::scheduled_handles, |_, value| {
        // `BaseEventLoop.__init__` gives each loop an empty heap.
        if value.is_true()? {
            return Err(Raised::attribute_error("the timers of a native loop cannot be replaced"));
        }
        Ok(())
    })
}
