//! What `await` makes of its operand.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

/// `CO_ITERABLE_COROUTINE`: a generator that `types.coroutine` has marked.
const ITERABLE_COROUTINE: i64 = 0x100;

impl Obj {
    /// The iterator that `await self` runs.
    pub fn awaitable_iter(&self) -> PyResult<Obj> {
        if self.is_coroutine_object() {
            if !self.attr(c"cr_await")?.is_none() {
                return Err(Raised::runtime_error("coroutine is being awaited already"));
            }
            return Ok(self.clone());
        }
        if self.is_generator()
            && self.attr(c"gi_code")?.attr(c"co_flags")?.to_i64()? & ITERABLE_COROUTINE != 0
        {
            return Ok(self.clone());
        }
        // SAFETY: the object is alive and keeps its type alive; `am_await` returns
        // a new reference or null with an exception.
        let iterator = unsafe {
            let methods = (*self.type_ptr()).tp_as_async;
            let am_await = if methods.is_null() { None } else { (*methods).am_await };
            let am_await = am_await.ok_or_else(|| self.cannot_be_awaited())?;
            Obj::from_new(am_await(self.as_ptr()))?
        };
        // SAFETY: the iterator is alive.
        if unsafe { py::PyIter_Check(iterator.as_ptr()) } == 0 {
            return Err(Raised::type_error(&format!(
                "__await__() returned non-iterator of type '{}'",
                iterator.type_name()
            )));
        }
        if iterator.is_coroutine_object() {
            return Err(Raised::type_error("__await__() returned a coroutine"));
        }
        Ok(iterator)
    }

    #[cold]
    fn cannot_be_awaited(&self) -> Raised {
        let name = self.type_name();
        Raised::type_error(&if cfg!(Py_3_14) {
            format!("'{name}' object can't be awaited")
        } else {
            format!("object {name} can't be used in 'await' expression")
        })
    }
}
