//! What a queue does, as asyncio's class does it: methods that a program has replaced are called
//! where asyncio's class calls them.

use std::ffi::CStr;

use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::deque::Deque;
use super::super::lookups::{Lookups, own_names};
use super::super::number::Number;
use super::super::waiter;
use super::{Hook, NativeQueue};

impl NativeQueue {
    pub(super) fn task_done(&self) -> PyResult<()> {
        let unfinished = self.unfinished.get();
        if unfinished <= 0 {
            return Err(Raised::value_error("task_done() called too many times"));
        }
        self.unfinished.set(unfinished - 1);
        if unfinished == 1 { self.finished.set() } else { Ok(()) }
    }
}

impl Py<NativeQueue> {
    /// Looks up in which order the class gives its items away.
    pub(super) fn learn_order(&self) -> PyResult<()> {
        let order = self.as_obj().getattr(&own_names()._batuta_order)?.to_i64()?;
        self.items.set_order(order);
        Ok(())
    }

    pub(super) fn init(&self, maxsize: Option<&Obj>) -> PyResult<()> {
        let zero = Obj::int(0)?;
        let maxsize = maxsize.unwrap_or(&zero);
        self.set_maxsize(maxsize);
        self.getters.clear();
        self.putters.clear();
        self.unfinished.set(0);
        self.finished.reset();
        self.learn_order()?;
        if self.replaces(Hook::Init) {
            self.as_obj().call_method1(&own_names()._init, maxsize)?;
        } else {
            self.items.init()?;
        }
        self.is_shutdown.set(false);
        Ok(())
    }

    #[inline]
    pub(super) fn is_full(&self) -> PyResult<bool> {
        if self.replaces(Hook::Full) {
            return self.as_obj().call_method0(&own_names().full)?.is_true();
        }
        self.is_full_by_size()
    }

    #[inline]
    pub(super) fn is_full_by_size(&self) -> PyResult<bool> {
        let limit = self.limit()?;
        if !limit.is_positive() {
            return Ok(false);
        }
        let size = if self.replaces(Hook::Qsize) {
            Number::from_python(&self.as_obj().call_method0(&own_names().qsize)?)?
        } else {
            Number::Int(i64::try_from(self.items.len()?).unwrap_or(i64::MAX))
        };
        Ok(size.is_at_least(limit))
    }

    #[inline]
    pub(super) fn is_empty(&self) -> PyResult<bool> {
        if self.replaces(Hook::Empty) {
            return self.as_obj().call_method0(&own_names().empty)?.is_true();
        }
        self.items.is_empty()
    }

    /// `put_nowait`, which a subclass may have replaced.
    #[inline]
    pub(super) fn put(&self, item: &Obj) -> PyResult<Obj> {
        if self.replaces(Hook::PutNowait) {
            return self.as_obj().call_method1(&own_names().put_nowait, item);
        }
        self.put_nowait(item).map(|()| Obj::none())
    }

    pub(super) fn put_nowait(&self, item: &Obj) -> PyResult<()> {
        if self.is_shutdown.get() {
            return Err(queue_error(c"QueueShutDown"));
        }
        if self.is_full()? {
            return Err(queue_error(c"QueueFull"));
        }
        if self.replaces(Hook::Put) {
            self.as_obj().call_method1(&own_names()._put, item)?;
        } else {
            self.items.put(item)?;
        }
        self.unfinished.set(self.unfinished.get() + 1);
        self.finished.unset()?;
        self.wakeup_next(&self.getters)
    }

    /// `get_nowait`, which a subclass may have replaced.
    #[inline]
    pub(super) fn get(&self) -> PyResult<Obj> {
        if self.replaces(Hook::GetNowait) {
            return self.as_obj().call_method0(&own_names().get_nowait);
        }
        self.get_nowait()
    }

    pub(super) fn get_nowait(&self) -> PyResult<Obj> {
        if self.is_empty()? {
            let class = if self.is_shutdown.get() { c"QueueShutDown" } else { c"QueueEmpty" };
            return Err(queue_error(class));
        }
        let item = if self.replaces(Hook::Get) {
            self.as_obj().call_method0(&own_names()._get)?
        } else {
            self.items.get()?
        };
        self.wakeup_next(&self.putters)?;
        Ok(item)
    }

    #[inline]
    pub(super) fn wakeup_next(&self, waiters: &Deque) -> PyResult<()> {
        if self.replaces(Hook::WakeupNext) {
            let waiters = waiters.show()?;
            return self.as_obj().call_method1(&own_names()._wakeup_next, &waiters).map(drop);
        }
        waiter::wake_next(waiters)
    }
}

/// `raise QueueEmpty`, or another class of asyncio's queues.
#[cold]
pub(super) fn queue_error(class: &CStr) -> Raised {
    match Lookups::get().queues.attr(class).and_then(|class| class.call0()) {
        Ok(exception) => Raised::raise(&exception),
        Err(raised) => raised,
    }
}
