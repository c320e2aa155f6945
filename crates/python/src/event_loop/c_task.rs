//! Recognising the interpreter's own C tasks in `call_soon`.
//!
//! `_asyncio.Task` schedules its steps by calling the loop's `call_soon` with a
//! private wrapper or a bound C function, and looks at nothing of the result.
//! Such a callable needs no handle. Both kinds are known by what they are in C,
//! learnt from the first one that comes along.

use std::cell::Cell;

use crate::ffi::Obj;
use crate::task::Task;

thread_local! {
    static STEP_TYPE: Cell<usize> = const { Cell::new(0) };
    static WAKEUP: Cell<usize> = const { Cell::new(0) };
}

/// Whether `callback` is a step or a wake-up of a C task.
#[inline]
pub fn is_task_step(callback: &Obj) -> bool {
    let class = callback.type_ptr() as usize;
    let step = STEP_TYPE.get();
    if class == step {
        return true;
    }
    match callback.builtin_function() {
        Some((address, name)) => {
            let wakeup = WAKEUP.get();
            address == wakeup || (wakeup == 0 && learn_wakeup(callback, address, name))
        }
        None => step == 0 && learn_step(callback, class),
    }
}

#[cold]
fn learn_wakeup(callback: &Obj, address: usize, name: &std::ffi::CStr) -> bool {
    // Native tasks have a function of that name, too.
    let found = name == c"task_wakeup" && Task::woken_by(callback).is_none();
    if found {
        WAKEUP.set(address);
    }
    found
}

#[cold]
fn learn_step(callback: &Obj, class: usize) -> bool {
    let name = callback.type_c_name().to_bytes();
    let found = name == b"TaskStepMethWrapper" || name == b"_asyncio.TaskStepMethWrapper";
    if found {
        STEP_TYPE.set(class);
    }
    found
}
