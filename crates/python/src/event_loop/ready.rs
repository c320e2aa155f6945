//! What the ready queue holds.

use crate::combine::{Alarm, Observer};
use crate::ffi::{Obj, Py, Rooted, Visitor};
use crate::handle::{Handle, TimerHandle};
use crate::task::Task;

use super::entry::IoEvent;

/// An entry of the timers.
#[derive(Debug)]
pub enum Due {
    /// `call_later`, `call_at`.
    Handle(Rooted<TimerHandle>),
    /// Native code is told.
    Alarm(Alarm),
}

impl Due {
    /// Shows the objects to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Handle(timer) => visitor.obj(timer.as_obj()),
            Self::Alarm(alarm) => alarm.traverse(visitor),
        }
    }

    /// The loop stops running: see [`Rooted`].
    pub fn leave_root(&self) {
        match self {
            Self::Handle(timer) => timer.leave_root(),
            Self::Alarm(_) => {}
        }
    }
}

/// A step or wake-up of one of the interpreter's own C tasks: run without a handle.
#[derive(Debug)]
pub struct TaskStep {
    /// The step wrapper or the bound wake-up function.
    pub callable: Obj,
    /// The future that a wake-up is given.
    pub future: Option<Obj>,
    /// The task's context, in which it runs.
    pub context: Obj,
}

/// An entry of the fifo.
#[derive(Debug)]
pub enum Ready {
    /// `call_soon`, or a reader or writer callback whose descriptor is ready.
    Handle(Rooted<Handle>),
    /// A timer that is due.
    Timer(Rooted<TimerHandle>),
    /// A step or wake-up of one of the interpreter's own C tasks.
    TaskStep(Box<TaskStep>),
    /// A step of a native task, which throws the exception if there is one.
    Step(Py<Task>, Option<Obj>),
    /// The future that a native task waits for is done.
    Wakeup(Py<Task>, Obj),
    /// The time has come of which native code is told.
    Alarm(Alarm),
    /// A future that native code watches is done.
    Observer(Observer, Obj),
    /// `call_soon_threadsafe`.
    #[cfg(Py_3_14)]
    ThreadSafe(Rooted<crate::handle::ThreadSafeHandle>),
    /// Somebody else's handle: `_run()` runs it.
    Foreign(Obj),
    /// A transport's descriptor is ready.
    Io(IoEvent),
}

impl From<Due> for Ready {
    #[inline]
    fn from(due: Due) -> Self {
        match due {
            Due::Handle(timer) => Self::Timer(timer),
            Due::Alarm(alarm) => Self::Alarm(alarm),
        }
    }
}

impl Ready {
    /// Shows the objects to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Handle(handle) => visitor.obj(handle.as_obj()),
            Self::Timer(timer) => visitor.obj(timer.as_obj()),
            #[cfg(Py_3_14)]
            Self::ThreadSafe(handle) => visitor.obj(handle.as_obj()),
            Self::TaskStep(step) => {
                visitor.obj(&step.callable);
                if let Some(future) = &step.future {
                    visitor.obj(future);
                }
                visitor.obj(&step.context);
            }
            Self::Step(task, exception) => {
                visitor.obj(task.as_obj());
                if let Some(exception) = exception {
                    visitor.obj(exception);
                }
            }
            Self::Wakeup(task, future) => {
                visitor.obj(task.as_obj());
                visitor.obj(future);
            }
            Self::Alarm(alarm) => alarm.traverse(visitor),
            Self::Observer(observer, future) => {
                visitor.obj(observer.as_obj());
                visitor.obj(future);
            }
            Self::Foreign(handle) => visitor.obj(handle),
            Self::Io(_) => {}
        }
    }

    /// The loop stops running: see [`Rooted`].
    pub fn leave_root(&self) {
        match self {
            Self::Handle(handle) => handle.leave_root(),
            Self::Timer(timer) => timer.leave_root(),
            #[cfg(Py_3_14)]
            Self::ThreadSafe(handle) => handle.leave_root(),
            Self::Foreign(_)
            | Self::TaskStep(_)
            | Self::Step(..)
            | Self::Wakeup(..)
            | Self::Alarm(..)
            | Self::Observer(..)
            | Self::Io(_) => {}
        }
    }

    /// The handle to show for it, if it has one.
    pub fn handle(&self) -> Option<Obj> {
        match self {
            Self::Handle(handle) => Some(handle.as_obj().clone()),
            Self::Timer(timer) => Some(timer.as_obj().clone()),
            #[cfg(Py_3_14)]
            Self::ThreadSafe(handle) => Some(handle.as_obj().clone()),
            Self::Foreign(handle) => Some(handle.clone()),
            Self::TaskStep(_)
            | Self::Step(..)
            | Self::Wakeup(..)
            | Self::Alarm(..)
            | Self::Observer(..)
            | Self::Io(_) => None,
        }
    }
}
