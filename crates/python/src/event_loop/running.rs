//! Which native loop runs in a thread.
//!
//! Up to 3.13 asyncio asks the system for the process's id each time that the running loop
//! is looked up, which costs more than the rest of a short wait. What it looks into is an
//! entry of the thread's dict, a new object for each loop that is set: while that entry is
//! the one that a native loop found when it began to run, that loop is the running one.
//!
//! Ownership: the note of a thread holds the loop and the entry, exactly while the thread
//! runs the loop's turns. After a fork there is no note: asyncio says that no loop runs in
//! the child.

use std::cell::RefCell;

use crate::asyncio::Asyncio;
#[cfg(not(Py_3_14))]
use crate::ffi::gil;
use crate::ffi::{Obj, Py, PyResult};

use super::NativeLoop;

#[derive(Debug)]
struct Note {
    event_loop: Py<NativeLoop>,
    /// What the thread's dict has for it.
    #[cfg(not(Py_3_14))]
    entry: Option<Obj>,
}

thread_local! {
    static RUNNING: RefCell<Option<Note>> = const { RefCell::new(None) };
}

/// Notes which loop runs, and at its end which one ran before.
#[derive(Debug)]
pub(super) struct Running {
    event_loop: Py<NativeLoop>,
    before: Option<Note>,
    is_inner: bool,
}

impl Running {
    pub(super) fn begin(this: &Py<NativeLoop>) -> Self {
        let note = Note {
            event_loop: this.clone(),
            #[cfg(not(Py_3_14))]
            entry: gil::thread_entry(&Asyncio::get().running_loop_key),
        };
        Self {
            event_loop: this.clone(),
            before: RUNNING.replace(Some(note)),
            is_inner: this.become_root(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_inner {
            self.event_loop.leave_root();
        }
        let ended = RUNNING.replace(self.before.take());
        drop(ended);
    }
}

impl NativeLoop {
    /// Before a fork: what the loop of this thread holds back must not be there twice.
    pub fn send_held_here() -> PyResult<()> {
        let running =
            RUNNING.with_borrow(|running| running.as_ref().map(|note| note.event_loop.clone()));
        match running {
            Some(event_loop) if event_loop.held.any() => event_loop.send_held(Ok(())),
            _ => Ok(()),
        }
    }

    /// For a child process: no loop runs there.
    pub fn forget_running() {
        let note = RUNNING.take();
        drop(note);
    }
}

/// The loop that runs in this thread, as far as it is known here.
#[cfg(not(Py_3_14))]
#[inline]
fn known() -> Option<Obj> {
    RUNNING.with_borrow(|running| {
        let note = running.as_ref()?;
        let entry = note.entry.as_ref()?;
        gil::is_thread_entry(&Asyncio::get().running_loop_key, entry)
            .then(|| note.event_loop.as_obj().clone())
    })
}

/// From 3.14 on asyncio itself is quick to tell.
#[cfg(Py_3_14)]
fn known() -> Option<Obj> {
    None
}

/// The loop that runs in this thread.
#[inline]
pub fn running_loop() -> PyResult<Option<Obj>> {
    match known() {
        Some(event_loop) => Ok(Some(event_loop)),
        None => Ok(Asyncio::get().get_running_loop_or_none.call0()?.non_none().cloned()),
    }
}

/// The loop that runs in this thread; an error if there is none.
#[inline]
pub fn running_loop_or_raise() -> PyResult<Obj> {
    match known() {
        Some(event_loop) => Ok(event_loop),
        None => Asyncio::get().get_running_loop.call0(),
    }
}
