//! Waiting for several things, and for a time: `gather`, `TaskGroup`, and their kin.
//!
//! Role: what these do often is native; what they do when something goes wrong is
//! the interpreter's own, where it can be. A native future that is watched from here
//! calls nothing when it is done: its [`Observer`] is an entry of the ready queue, in
//! the place where a handle would stand, so the order is asyncio's.
//!
//! On loops that are not Batuta's, and with futures that are not native, everything
//! goes through their public methods.
//!
//! Thread: the loop's.

mod child;
mod gather;
mod gathering;
mod group;
mod lookups;
mod observer;

use crate::ffi::module::{add, add_function};
use crate::ffi::native::define;
use crate::ffi::{Obj, PyResult};

pub use gathering::GatheringFuture;
pub use group::NativeTaskGroup;
pub use observer::Observer;

/// Puts the classes and functions into the module; `native` is `_asyncio`.
pub fn fill(module: &Obj, native: &Obj) -> PyResult<()> {
    lookups::load()?;
    GatheringFuture::prepare();
    let class = define::<GatheringFuture>(Some(&native.attr(c"Future")?))?;
    add(module, c"_GatheringFuture", &class)?;
    add(module, c"NativeTaskGroup", &define::<NativeTaskGroup>(None)?)?;
    add_function(module, c"gather", gather::DOC, gather::gather)
}
