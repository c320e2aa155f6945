//! The class that all coroutines without a frame extend, by which they are known; what a coroutine is.

use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{self, TypeCell};
use crate::ffi::{NativeType, Obj, PyResult, Visitor};

use super::{Coroutine, Routine};

#[derive(Debug)]
struct Base;

static BASE: TypeCell = TypeCell::new();

/// Makes the type of the coroutines of `R`, unless a former import has made it.
pub fn define<R: Routine>() -> PyResult<()> {
    let base = native::define::<Base>(None)?;
    native::define::<Coroutine<R>>(Some(&base)).map(drop)
}

/// `asyncio.iscoroutine(object)`
#[inline]
pub fn is_coroutine(object: &Obj) -> PyResult<bool> {
    Ok(is_coroutine_by_type(object) || Asyncio::get().iscoroutine.call1(object)?.is_true()?)
}

/// Whether it is a coroutine, of those kinds that are known by their types.
#[inline]
pub fn is_coroutine_by_type(object: &Obj) -> bool {
    object.is_coroutine_object() || is_native(object)
}

/// Whether this is a coroutine without a frame.
#[inline]
fn is_native(object: &Obj) -> bool {
    object.is_of_child_of(BASE.class())
}

impl NativeType for Base {
    const NAME: &'static CStr = c"batuta._batuta.coroutine";
    const DOC: &'static CStr = c"A coroutine without a frame.";
    const SUBCLASSABLE: bool = true;

    fn cell() -> &'static TypeCell {
        &BASE
    }

    fn traverse(&self, _: &mut Visitor) {}

    fn clear(&self) {}

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
