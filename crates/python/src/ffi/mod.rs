//! The one place with raw CPython calls.
//!
//! Role: what the rest of the module needs of CPython's C API, behind safe
//! functions; nothing here knows asyncio.
//!
//! The invariant that the whole folder rests on: **the interpreter's lock is
//! held** by the thread that runs this code, always, except inside
//! [`gil::without`], whose closure cannot touch an object because objects are
//! not `Send`. Code gets in only through the trampolines of [`method`] and
//! [`native`], which CPython calls with the lock held, and [`object::Obj`] can be
//! neither sent to nor shared with another thread. Only the main interpreter is
//! served ([`module`] refuses others), so statics may hold objects.
//!
//! Errors follow CPython: a failing call leaves the exception in the thread
//! state and returns [`error::Raised`], a marker that must be handed on, turned
//! back into the exception, or cleared.
//!
//! Reference kinds: [`Obj`] owns a reference; `&Obj` borrows one; [`Slot`] is an
//! `Obj` field of a native object that may be empty; [`Py<T>`] is an `Obj` known
//! to be an instance of the native type `T`.

pub mod args;
pub mod audit;
mod awaiting;
mod base;
pub mod buffer;
mod bytearray;
pub mod call;
pub mod context;
pub mod convert;
pub mod detour;
pub mod error;
pub mod exception;
pub mod exit;
pub mod field;
pub mod function;
pub mod gil;
pub mod method;
pub mod module;
pub mod names;
pub mod native;
mod number;
pub mod object;
pub mod panic;
pub mod prefetch;
pub mod property;
pub mod recursion;
#[cfg(not(Py_3_14))]
pub mod roster;
pub mod set;
pub mod slot;
pub mod socket;
mod stop;
pub mod text;
#[cfg(Py_3_14)]
pub mod thread_state;
#[cfg(not(Py_3_14))]
mod trash;
pub mod watch;
mod weak;
pub mod window;

pub use args::Args;
pub use error::{PyResult, Raised};
pub use native::{NativeType, Py, Rooted};
pub use object::Obj;
pub use slot::{Held, Slot, Visitor};
