//! What a reader's coroutines do where they call a method that a program has replaced, as
//! asyncio's call each other; and how `readline()` says what `readuntil()` says otherwise.

use crate::coroutine::Step;
use crate::ffi::error::value_error_class;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::lookups::{Lookups, own_names};
use super::steps::{Purpose, ReaderSteps, Wait};
use super::{Hook, NativeStreamReader};

impl ReaderSteps {
    /// The method of the reader's that this one calls, if a program has replaced it.
    #[inline]
    pub(super) fn replaced(&self, reader: &Py<NativeStreamReader>) -> PyResult<Option<Step>> {
        let names = own_names();
        let (hook, called) = match self.purpose {
            Purpose::Next if reader.replaces(Hook::ReadLine) => {
                (Hook::ReadLine, reader.as_obj().call_method0(&names.readline)?)
            }
            Purpose::Line | Purpose::Next if reader.replaces(Hook::ReadUntil) => {
                let newline = Obj::bytes(b"\n")?;
                (Hook::ReadUntil, reader.as_obj().call_method1(&names.readuntil, &newline)?)
            }
            Purpose::Read if self.count.get() < 0 && reader.replaces(Hook::Read) => {
                let limit = reader.limit.get_or_none();
                (Hook::Read, reader.as_obj().call_method1(&names.read, &limit)?)
            }
            _ => return Ok(None),
        };
        self.wait.set(Wait::Replaced(hook));
        Ok(Some(Step::Wait(called)))
    }

    /// What a replaced method has returned or raised.
    #[cold]
    pub(super) fn replaced_has_ended(
        &self,
        reader: &Py<NativeStreamReader>,
        hook: Hook,
        outcome: Result<Obj, Obj>,
    ) -> PyResult<Step> {
        match (hook, outcome) {
            (Hook::Read, Ok(block)) => {
                if !block.is_true()? {
                    return self.all_read();
                }
                let view = crate::ffi::buffer::Buffer::readable(&block)?;
                self.read.borrow_mut().extend_from_slice(view.as_slice());
                drop(view);
                match self.replaced(reader)? {
                    Some(step) => Ok(step),
                    None => self.attempt(reader, false),
                }
            }
            (_, Ok(line)) => self.line(line),
            (Hook::ReadUntil, Err(exception)) => {
                let lookups = Lookups::get();
                if exception.is_instance(&lookups.incomplete_read)? {
                    return self.line(exception.attr(c"partial")?);
                }
                if exception.is_instance(&lookups.limit_overrun)? {
                    return line_too_long(reader, &exception);
                }
                Err(Raised::restore(exception))
            }
            (_, Err(exception)) => Err(Raised::restore(exception)),
        }
    }
}

/// A line was longer than the limit, says `overrun`: what there is of it goes, and a `ValueError`
/// says the same.
#[cold]
pub(super) fn line_too_long(reader: &Py<NativeStreamReader>, overrun: &Obj) -> PyResult<Step> {
    let consumed = overrun.attr(c"consumed")?.to_i64()?;
    reader.drop_line(usize::try_from(consumed).unwrap_or(usize::MAX))?;
    let message = overrun.attr(c"args")?.tuple_item(0).unwrap_or_else(Obj::none);
    let exception = value_error_class().call1(&message)?;
    // As one that is raised while the other is handled.
    exception.set_context(overrun);
    Err(Raised::restore(exception))
}
