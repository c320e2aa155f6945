//! The end of the interpreter, for threads that still run a loop.
//!
//! Before 3.14, CPython ends a daemon thread that asks for the lock after
//! finalisation has begun by unwinding its stack. Rust frames on that stack
//! cannot be unwound so: the process would abort. Therefore an `atexit` hook,
//! which runs in the main thread while everything still works, makes the loops
//! of other threads sleep for ever: one that runs stops at its next turn, one
//! that waits for events does not come back. The process ends around them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::gil;

/// The thread that ends the interpreter; zero while it lives.
static ENDING: AtomicU64 = AtomicU64::new(0);

/// How many threads run a loop and are not asleep in it.
static AWAKE: AtomicUsize = AtomicUsize::new(0);

/// How long the hook waits for running callbacks to reach the end of a turn.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(1);

/// Counts this thread as one that runs a loop, until dropped.
#[derive(Debug)]
pub struct Running(());

impl Running {
    /// The thread begins to run a loop.
    pub fn begin() -> Self {
        AWAKE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        AWAKE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sleeps for ever if the interpreter is ending and this is another thread.
/// Called at the beginning of every turn.
#[inline]
pub fn checkpoint() {
    let ending = ENDING.load(Ordering::Relaxed);
    if ending != 0 && ending != gil::thread_ident() {
        gil::without(|| sleep_for_ever());
    }
}

/// Runs the wait of a [`Running`] thread's loop without the lock; does not come
/// back from it once the interpreter is ending.
pub fn asleep<R>(body: impl FnOnce() -> R + Send) -> R {
    gil::without(|| {
        AWAKE.fetch_sub(1, Ordering::SeqCst);
        let result = body();
        AWAKE.fetch_add(1, Ordering::SeqCst);
        let ending = ENDING.load(Ordering::SeqCst);
        if ending != 0 && ending != gil::thread_ident() {
            sleep_for_ever();
        }
        result
    })
}

fn sleep_for_ever() -> ! {
    AWAKE.fetch_sub(1, Ordering::SeqCst);
    loop {
        std::thread::park();
    }
}

/// The `atexit` hook: sends the loops of other threads to sleep.
pub fn park_threads() {
    ENDING.store(gil::thread_ident(), Ordering::SeqCst);
    let mut waited = Duration::ZERO;
    while AWAKE.load(Ordering::SeqCst) > 0 && waited < PATIENCE {
        gil::without(|| std::thread::sleep(STEP));
        waited += STEP;
    }
}
