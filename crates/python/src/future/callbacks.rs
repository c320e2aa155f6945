//! The callbacks of a future.
//!
//! Invariant: in the order of their adding. Most futures have one (the task that
//! waits), which is kept without a list.

use crate::asyncio::{Asyncio, names};
use crate::combine::Observer;
use crate::event_loop::{NativeLoop, Ready};
use crate::ffi::{Obj, Py, PyResult, Visitor, context};
use crate::task::Task;

use super::FutureCore;

/// What happens when a future is done.
#[derive(Clone, Debug)]
pub enum Callback {
    /// `callback(future)` is called in a context.
    Call {
        /// What is called.
        callback: Obj,
        /// The context, or `None` for a copy of the one that schedules.
        context: Obj,
    },
    /// A native task goes on, in its own context.
    Wakeup(Py<Task>),
    /// Native code takes note.
    Observer(Observer),
}

impl Callback {
    /// A callback as `add_done_callback` gets it.
    pub fn new(callback: &Obj, context: Obj) -> Self {
        match Task::woken_by(callback) {
            Some(task) if task.runs_in(&context) => Self::Wakeup(task),
            _ => Self::Call { callback: callback.clone(), context },
        }
    }

    /// Schedules the callback of `future`, whose core is `core`.
    pub fn schedule(self, core: &FutureCore, future: &Obj) -> PyResult<()> {
        if let Some(event_loop) = core.fast_loop() {
            return match self {
                Self::Wakeup(task) => {
                    event_loop.push(Ready::Wakeup(task, future.clone()));
                    Ok(())
                }
                Self::Observer(observer) => {
                    event_loop.push(Ready::Observer(observer, future.clone()));
                    Ok(())
                }
                Self::Call { callback, context } => {
                    NativeLoop::soon(&event_loop, &callback, future, &context)
                }
            };
        }
        let (callback, context) = self.parts()?;
        core.event_loop()?
            .call_method_with(
                &names().call_soon,
                [&callback, future],
                &Asyncio::get().context_keyword,
                &context,
            )
            .map(drop)
    }

    /// Callback and context as Python objects.
    pub fn parts(&self) -> PyResult<(Obj, Obj)> {
        match self {
            Self::Call { callback, context } => Ok((callback.clone(), context.clone())),
            Self::Wakeup(task) => Ok((Task::wakeup_function(task)?, task.context())),
            Self::Observer(observer) => Ok((observer.callable()?, context::copy_current()?)),
        }
    }

    /// Shows the objects to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Call { callback, context } => {
                visitor.obj(callback);
                visitor.obj(context);
            }
            Self::Wakeup(task) => visitor.obj(task.as_obj()),
            Self::Observer(observer) => visitor.obj(observer.as_obj()),
        }
    }
}

/// All callbacks of a future.
#[derive(Debug, Default)]
pub enum Callbacks {
    /// None.
    #[default]
    None,
    /// One.
    One(Callback),
    /// Several.
    Many(Vec<Callback>),
}

impl Callbacks {
    /// Adds the wake-up of a task at the end. Apart from `push`, so that what most futures
    /// have is written where it stays, without a copy.
    #[inline]
    pub fn push_wakeup(&mut self, task: &Py<Task>) {
        match self {
            Self::None => *self = Self::One(Callback::Wakeup(task.clone())),
            _ => self.push(Callback::Wakeup(task.clone())),
        }
    }

    /// Adds one at the end.
    pub fn push(&mut self, callback: Callback) {
        match self {
            Self::None => *self = Self::One(callback),
            Self::Many(callbacks) => callbacks.push(callback),
            Self::One(_) => {
                let Self::One(first) = std::mem::take(self) else { return };
                *self = Self::Many(vec![first, callback]);
            }
        }
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Callback> {
        let slice = match self {
            Self::None => &[],
            Self::One(callback) => std::slice::from_ref(callback),
            Self::Many(callbacks) => callbacks,
        };
        slice.iter()
    }

    /// Takes out those that `which` says; the caller drops them when its borrow
    /// has ended.
    fn extract(&mut self, which: impl Fn(&Callback) -> bool) -> Vec<Callback> {
        let all = match std::mem::take(self) {
            Self::None => Vec::new(),
            Self::One(callback) => vec![callback],
            Self::Many(callbacks) => callbacks,
        };
        let (out, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(which);
        if !kept.is_empty() {
            *self = Self::Many(kept);
        }
        out
    }
}

impl FutureCore {
    /// `_callbacks`: a list of pairs, nothing if there are none.
    pub fn callbacks_list(&self) -> PyResult<Option<Obj>> {
        let callbacks: Vec<_> = self.callbacks.borrow().iter().cloned().collect();
        if callbacks.is_empty() {
            return Ok(None);
        }
        let pairs: Vec<_> = callbacks
            .iter()
            .map(|callback| {
                let (callback, context) = callback.parts()?;
                Obj::tuple(&[callback, context])
            })
            .collect::<PyResult<_>>()?;
        Obj::list(&pairs).map(Some)
    }

    /// Removes what native code has added to be told.
    pub fn remove_observer(&self, observer: &Observer) {
        let removed = self
            .callbacks
            .borrow_mut()
            .extract(|one| matches!(one, Callback::Observer(other) if other.is(observer)));
        drop(removed);
    }

    /// Removes the callbacks that equal `function`; says how many.
    ///
    /// A comparison may run Python code that adds or removes callbacks, so what is
    /// removed are the very objects that were found equal.
    pub fn remove_callbacks(&self, function: &Obj) -> PyResult<usize> {
        let before: Vec<_> = self.callbacks.borrow().iter().cloned().collect();
        let mut equal = Vec::new();
        for callback in &before {
            let (candidate, _) = callback.parts()?;
            if candidate.is(function) || candidate.equals(function)? {
                equal.push(callback.clone());
            }
        }
        if equal.is_empty() {
            return Ok(0);
        }
        let removed = self.callbacks.borrow_mut().extract(|one| among(&equal, one));
        Ok(removed.len())
    }
}

fn among(callbacks: &[Callback], one: &Callback) -> bool {
    callbacks.iter().any(|other| match (one, other) {
        (Callback::Call { callback: a, .. }, Callback::Call { callback: b, .. }) => a.is(b),
        (Callback::Wakeup(a), Callback::Wakeup(b)) => a.as_obj().is(b.as_obj()),
        (Callback::Observer(a), Callback::Observer(b)) => a.is(b),
        _ => false,
    })
}
