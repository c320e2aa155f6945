//! Native code that takes note when a future is done.
//!
//! Ownership: the future's callbacks own the observer, the observer owns who takes
//! note.

use crate::coroutine::Coroutine;
use crate::executor::Link;
#[cfg(not(Py_3_12))]
use crate::ffi::gil::Global;
#[cfg(not(Py_3_12))]
use crate::ffi::method::Bindable;
use crate::ffi::{Obj, Py, PyResult};
#[cfg(not(Py_3_12))]
use crate::future::{Future, HasFuture};

use super::lookups::stock;
use super::wait::{self, Wait};
use super::{GatheringFuture, NativeTaskGroup};

/// Who takes note.
#[derive(Clone, Debug)]
pub enum Observer {
    /// A `gather()`, of a child.
    Gather(Py<GatheringFuture>),
    /// A task group, of a task.
    Group(Py<NativeTaskGroup>),
    /// A `wait()`.
    Wait(Py<Coroutine<Wait>>),
    /// What ties a future to one of an executor's.
    Link(Py<Link>),
    /// A future that gets a result then, unless it is done.
    #[cfg(not(Py_3_12))]
    Release(Py<Future>),
}

/// What a future that is not native calls.
#[cfg(not(Py_3_12))]
static RELEASE: Global<Release> = Global::new();

#[cfg(not(Py_3_12))]
#[derive(Debug)]
struct Release(Bindable<Future>);

#[cfg(not(Py_3_12))]
fn release(waiter: &Py<Future>) -> PyResult<()> {
    let core = waiter.future();
    if core.is_pending() { core.set_result(waiter.as_obj(), &Obj::none()) } else { Ok(()) }
}

impl Observer {
    /// Makes what observers need; once, at import.
    #[cfg(not(Py_3_12))]
    pub fn prepare() {
        RELEASE.set(Release(Bindable::new(c"_release", |waiter: &Py<Future>, _: &Obj| {
            release(waiter)
        })));
    }

    /// `future` is done.
    #[inline]
    pub fn notify(&self, future: &Obj) -> PyResult<()> {
        match self {
            Self::Gather(outer) => GatheringFuture::child_done(outer, future),
            Self::Group(group) => NativeTaskGroup::task_done(group, future),
            Self::Wait(waiting) => wait::ended(waiting, future),
            Self::Link(link) => link.notify(future),
            #[cfg(not(Py_3_12))]
            Self::Release(waiter) => release(waiter),
        }
    }

    /// The same as a Python callable, for whoever takes callables only.
    pub fn callable(&self) -> PyResult<Obj> {
        match self {
            Self::Gather(outer) => GatheringFuture::child_done_function(outer),
            Self::Group(group) => group.as_obj().getattr(&stock().names._on_task_done),
            Self::Wait(waiting) => wait::ended_function(waiting),
            Self::Link(link) => Ok(link.as_obj().clone()),
            #[cfg(not(Py_3_12))]
            Self::Release(waiter) => RELEASE.get().0.bind(waiter),
        }
    }

    /// Who takes note, as any object.
    pub fn as_obj(&self) -> &Obj {
        match self {
            Self::Gather(outer) => outer.as_obj(),
            Self::Group(group) => group.as_obj(),
            Self::Wait(waiting) => waiting.as_obj(),
            Self::Link(link) => link.as_obj(),
            #[cfg(not(Py_3_12))]
            Self::Release(waiter) => waiter.as_obj(),
        }
    }

    /// Which kind it is, as a number below eight, and who takes note.
    #[inline]
    pub fn into_parts(self) -> (usize, Obj) {
        match self {
            Self::Gather(outer) => (0, outer.into_obj()),
            Self::Group(group) => (1, group.into_obj()),
            Self::Wait(waiting) => (2, waiting.into_obj()),
            Self::Link(link) => (4, link.into_obj()),
            #[cfg(not(Py_3_12))]
            Self::Release(waiter) => (3, waiter.into_obj()),
        }
    }

    /// The observer with these parts.
    ///
    /// # Safety
    /// They come from [`Self::into_parts`].
    #[inline]
    pub unsafe fn from_parts(kind: usize, object: Obj) -> Self {
        let address = object.into_address();
        // SAFETY: the kind tells the type.
        unsafe {
            match kind {
                0 => Self::Gather(Py::from_address(address)),
                1 => Self::Group(Py::from_address(address)),
                #[cfg(not(Py_3_12))]
                3 => Self::Release(Py::from_address(address)),
                4 => Self::Link(Py::from_address(address)),
                _ => Self::Wait(Py::from_address(address)),
            }
        }
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.as_obj().is(other.as_obj())
    }
}
