//! Native code that takes note when a future is done.
//!
//! Ownership: the future's callbacks own the observer, the observer owns who takes
//! note.

use crate::ffi::{Obj, Py, PyResult};

use super::lookups::stock;
use super::{GatheringFuture, NativeTaskGroup};

/// Who takes note.
#[derive(Clone, Debug)]
pub enum Observer {
    /// A `gather()`, of a child.
    Gather(Py<GatheringFuture>),
    /// A task group, of a task.
    Group(Py<NativeTaskGroup>),
}

impl Observer {
    /// `future` is done.
    #[inline]
    pub fn notify(&self, future: &Obj) -> PyResult<()> {
        match self {
            Self::Gather(outer) => GatheringFuture::child_done(outer, future),
            Self::Group(group) => NativeTaskGroup::task_done(group, future),
        }
    }

    /// The same as a Python callable, for whoever takes callables only.
    pub fn callable(&self) -> PyResult<Obj> {
        match self {
            Self::Gather(outer) => GatheringFuture::child_done_function(outer),
            Self::Group(group) => group.as_obj().getattr(&stock().names._on_task_done),
        }
    }

    /// Who takes note, as any object.
    pub fn as_obj(&self) -> &Obj {
        match self {
            Self::Gather(outer) => outer.as_obj(),
            Self::Group(group) => group.as_obj(),
        }
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.as_obj().is(other.as_obj())
    }
}
