//! Native code that is told when a time has come.
//!
//! Ownership: the loop's timers own the alarm, then its ready queue, until it has rung.
//! An alarm that was taken back may ring all the same if it was in the ready queue
//! already; whoever is told knows by its number that it is not waiting for it.

#[cfg(Py_3_12)]
use crate::coroutine::Coroutine;
use crate::ffi::{Obj, Py, PyResult, Visitor};
use crate::future::{Future, HasFuture};

use super::NativeTimeout;
#[cfg(Py_3_12)]
use super::wait_for::WaitFor;

/// Who is told.
#[derive(Debug)]
pub enum Alarm {
    /// A future gets a result unless it is done.
    Complete(Py<Future>, Obj),
    /// A timeout is over.
    Timeout(Py<NativeTimeout>, u32),
    /// The time of a `wait_for()` is over.
    #[cfg(Py_3_12)]
    WaitFor(Py<Coroutine<WaitFor>>, u32),
}

impl Alarm {
    /// The time has come.
    pub fn ring(&self) -> PyResult<()> {
        match self {
            Self::Complete(future, result) => {
                let core = future.future();
                if core.is_pending() { core.set_result(future.as_obj(), result) } else { Ok(()) }
            }
            Self::Timeout(timeout, number) => timeout.deadline.ring(*number),
            #[cfg(Py_3_12)]
            Self::WaitFor(waiting, number) => waiting.routine().deadline.ring(*number),
        }
    }

    /// Who is told, as any object.
    pub fn as_obj(&self) -> &Obj {
        match self {
            Self::Complete(future, _) => future.as_obj(),
            Self::Timeout(timeout, _) => timeout.as_obj(),
            #[cfg(Py_3_12)]
            Self::WaitFor(waiting, _) => waiting.as_obj(),
        }
    }

    /// Shows the objects to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.obj(self.as_obj());
        if let Self::Complete(_, result) = self {
            visitor.obj(result);
        }
    }
}
