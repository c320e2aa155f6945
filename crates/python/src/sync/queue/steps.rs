//! `put()`, `get()` and `join()`: the coroutines of a queue.

use std::ffi::CStr;

use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Held, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::super::lookups::own_names;
use super::super::waiter;
use super::NativeQueue;
use super::calls::queue_error;

static QUEUE_STEPS: TypeCell = TypeCell::new();

/// The one argument `item`.
#[inline]
pub fn item<'a>(function: &str, args: &Args<'a>) -> PyResult<&'a Obj> {
    if let Ok([item]) = <&[Obj; 1]>::try_from(args.positional())
        && !args.has_keywords()
    {
        return Ok(item);
    }
    let [item] = args.bind(function, 0, [&own_names().item])?;
    item.ok_or_else(|| args.missing(function, "item"))
}

/// Which method a coroutine is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Put,
    Get,
    Join,
}

/// `Queue.put()`, `Queue.get()`, `Queue.join()`
#[derive(Debug)]
pub struct QueueSteps {
    queue: Held<NativeQueue>,
    purpose: Purpose,
    /// What is to be put.
    item: Slot,
    /// The future among the putters or getters.
    waiter: Slot,
}

impl QueueSteps {
    /// `put(item)`
    #[inline]
    pub fn put(queue: &Py<NativeQueue>, item: &Obj) -> PyResult<Obj> {
        Self::make(queue, Purpose::Put, Some(item))
    }

    /// `get()`
    #[inline]
    pub fn get(queue: &Py<NativeQueue>) -> PyResult<Obj> {
        Self::make(queue, Purpose::Get, None)
    }

    /// `join()`
    #[inline]
    pub fn join(queue: &Py<NativeQueue>) -> PyResult<Obj> {
        Self::make(queue, Purpose::Join, None)
    }

    #[inline]
    fn make(queue: &Py<NativeQueue>, purpose: Purpose, item: Option<&Obj>) -> PyResult<Obj> {
        let (queue, item) = (Held::from(queue), Slot::from(item.cloned()));
        Coroutine::make(Self { queue, purpose, item, waiter: Slot::default() })
    }

    /// Puts or gets, or waits until that may be possible.
    #[inline]
    fn attempt(&self, queue: &Py<NativeQueue>) -> PyResult<Step> {
        let waits = match self.purpose {
            Purpose::Put => queue.is_full()?,
            Purpose::Get => queue.is_empty()?,
            Purpose::Join => {
                if queue.unfinished.get() <= 0 {
                    return Ok(Step::Done(Obj::none()));
                }
                return queue.finished.wait(queue.as_obj()).map(Step::Wait);
            }
        };
        if !waits {
            return match self.purpose {
                Purpose::Get => queue.get().map(Step::Done),
                _ => queue.put(&self.item.get_or_none()).map(Step::Done),
            };
        }
        // asyncio asks twice here, which a subclass may notice.
        if queue.is_shutdown.get() && (self.purpose == Purpose::Put || queue.is_empty()?) {
            return Err(queue_error(c"QueueShutDown"));
        }
        let future = queue.binding.create_future(queue.as_obj())?;
        self.line(queue).push(&future)?;
        self.waiter.set(Some(future.clone()));
        Ok(Step::Wait(future))
    }

    /// Where it waits.
    fn line<'a>(&self, queue: &'a NativeQueue) -> &'a super::Deque {
        if self.purpose == Purpose::Get { &queue.getters } else { &queue.putters }
    }

    /// Waiting has ended by an exception.
    #[cold]
    fn give_up(&self, queue: &Py<NativeQueue>, future: &Obj) -> PyResult<()> {
        waiter::cancel(future)?;
        let line = self.line(queue);
        // Whoever woke it has taken it off the line.
        line.remove(future)?;
        let still_waits = match self.purpose {
            Purpose::Get => queue.is_empty()?,
            _ => queue.is_full()?,
        };
        if !still_waits && !waiter::is_cancelled(future)? {
            // It was woken and does not take what is there: the next one may.
            queue.wakeup_next(line)?;
        }
        Ok(())
    }
}

impl Routine for QueueSteps {
    const TYPE: &'static CStr = c"batuta._batuta.QueueSteps";

    fn cell() -> &'static TypeCell {
        &QUEUE_STEPS
    }

    fn qualname(&self) -> &'static str {
        match self.purpose {
            Purpose::Put => "Queue.put",
            Purpose::Get => "Queue.get",
            Purpose::Join => "Queue.join",
        }
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(queue) = self.queue.get() else { return Err(Raised::gone()) };
        self.attempt(&queue)
    }

    #[inline]
    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let Some(queue) = self.queue.get() else { return Err(Raised::gone()) };
        let waiter = self.waiter.take();
        match outcome {
            Ok(_) if self.purpose == Purpose::Join => Ok(Step::Done(Obj::none())),
            Ok(_) => self.attempt(&queue),
            Err(exception) => {
                if let Some(future) = waiter {
                    self.give_up(&queue, &future)?;
                }
                Err(Raised::restore(exception))
            }
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.queue.slot());
        visitor.slot(&self.item);
        visitor.slot(&self.waiter);
    }

    #[inline]
    fn clear(&self) {
        self.item.set(None);
        self.waiter.set(None);
        self.queue.release();
    }
}
