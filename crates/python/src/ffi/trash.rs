//! Ending long chains of objects without a deep stack, before 3.14.
//!
//! A handle may hold the last reference to another one, which holds the last one
//! to a third, and so on: each `tp_dealloc` would run inside the former's.
//! Beyond a depth the dead wait in a list, which the outermost `tp_dealloc` of
//! the thread empties.

use std::cell::Cell;

use pyo3_ffi as py;

/// How many `tp_dealloc`s of this module may be on a thread's stack.
const MAX_DEPTH: usize = 50;

/// Ends an object whose last reference has gone.
pub(super) type End = unsafe fn(*mut py::PyObject);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether somebody waits: spares the usual case a look at the list.
    static FILLED: Cell<bool> = const { Cell::new(false) };
    static WAITING: Cell<Vec<(*mut py::PyObject, End)>> = const { Cell::new(Vec::new()) };
}

/// Ends `object` by `end_it`, now or when the stack is less deep.
///
/// # Safety
/// `object` is an instance whose last reference has gone, `end_it` its type's own
/// function.
pub(super) unsafe fn end(object: *mut py::PyObject, end_it: End) {
    let depth = DEPTH.get();
    if depth > MAX_DEPTH {
        // SAFETY: the collector must not see a dead object while it waits.
        unsafe { py::PyObject_GC_UnTrack(object.cast()) };
        let mut waiting = WAITING.take();
        waiting.push((object, end_it));
        WAITING.set(waiting);
        FILLED.set(true);
        return;
    }
    DEPTH.set(depth + 1);
    // SAFETY: says the caller.
    unsafe { end_it(object) };
    if depth == 0 && FILLED.get() {
        loop {
            let mut waiting = WAITING.take();
            let Some((object, end_it)) = waiting.pop() else { break };
            WAITING.set(waiting);
            // SAFETY: put there above, once, with its own function, which wants it tracked;
            // nothing runs before it is alive again or untracked.
            unsafe {
                py::PyObject_GC_Track(object.cast());
                end_it(object);
            }
        }
        FILLED.set(false);
    }
    DEPTH.set(depth);
}
