//! Where panics stop: a trampoline turns one into a `PanicError`, which then goes the way
//! of every exception.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{PyResult, Raised};
use super::gil::Global;
use super::object::Obj;

/// The class of exceptions that panics become.
pub static PANIC_ERROR: Global<Obj> = Global::new();

/// Runs `body`; a panic raises `PanicError` and gives `failed`.
#[inline]
pub(super) fn guard<R>(failed: R, body: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let _raised = raise_panic(&*payload);
            failed
        }
    }
}

/// Runs `body`; a panic becomes a raised `PanicError`.
#[inline]
pub fn catch_panic<R>(body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(raise_panic(&*payload)))
}

thread_local! {
    /// Where this thread's last panic happened, for the exception's message.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics off standard error: they are reported as exceptions, which name
/// the place. The hook is this module's own, other Rust extensions have theirs.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        PANICKED_AT.with(|panicked_at| *panicked_at.borrow_mut() = place);
    }));
}

#[cold]
fn raise_panic(payload: &(dyn Any + Send)) -> Raised {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    let place = PANICKED_AT.with(RefCell::take).unwrap_or_else(|| "unknown place".to_owned());
    let message = format!("Rust code panicked: {text} ({place})");
    match PANIC_ERROR.try_get() {
        Some(class) => Raised::with_message(class, &message),
        None => Raised::runtime_error(&message),
    }
}
