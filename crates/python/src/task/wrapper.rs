//! A task's step as a callable, for loops that take callables only.

use std::ffi::CStr;

use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{CallFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Visitor};

use super::Task;

/// Calling it runs a step of the task, with an exception to throw or without.
#[derive(Debug)]
pub struct TaskStep {
    task: Py<Task>,
    exception: Option<Obj>,
}

static TASK_STEP: TypeCell = TypeCell::new();

impl TaskStep {
    /// The callable.
    pub fn make(task: &Py<Task>, exception: Option<Obj>) -> PyResult<Obj> {
        Py::new(Self { task: task.clone(), exception }).map(Py::into_obj)
    }

    fn call(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let [] = args.exactly("TaskStepMethWrapper")?;
        Task::step(&this.task, this.exception.clone())?;
        Ok(Obj::none())
    }
}

impl NativeType for TaskStep {
    const NAME: &'static CStr = c"batuta._batuta.TaskStepMethWrapper";
    const DOC: &'static CStr = c"A step of a task.";
    const CALL: Option<CallFn<Self>> = Some(Self::call);

    fn cell() -> &'static TypeCell {
        &TASK_STEP
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.obj(self.task.as_obj());
        if let Some(exception) = &self.exception {
            visitor.obj(exception);
        }
    }

    fn clear(&self) {
        // A cycle through here goes through the task, which lets go.
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new().get(c"__self__", |this: &Py<Self>| Ok(this.task.as_obj().clone()))
    }
}
