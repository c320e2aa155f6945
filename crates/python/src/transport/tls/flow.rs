//! Who is told to wait: the program when too much waits to be sent, the transport below when
//! too much has come that the program does not take.

use std::cell::Cell;

use crate::asyncio::names;
use crate::ffi::method::Properties;
use crate::ffi::names::Name;
use crate::ffi::{Obj, Py, PyResult};

use super::super::report::{Whose, report};
use super::lookups::{own_names, pending};
use super::protocol::NativeSSLProtocol;

/// A high and a low water mark, in bytes. A mark that no number of bytes can reach is the
/// largest there is.
#[derive(Debug, Default)]
pub struct Marks {
    high: Cell<usize>,
    low: Cell<usize>,
}

/// asyncio has checked it: it is not negative, but may be a float, or larger than any size.
fn set_mark(mark: &Cell<usize>, value: &Obj) -> PyResult<()> {
    if value.is_at_most(&Obj::int(i64::MAX)?)? {
        let whole = if value.is_int() {
            value.clone()
        } else {
            value.call_method0(&own_names().__ceil__)?
        };
        mark.set(usize::try_from(whole.to_i64()?).unwrap_or(0));
    } else {
        mark.set(usize::MAX);
    }
    Ok(())
}

impl Py<NativeSSLProtocol> {
    /// How many bytes wait to be sent.
    pub(super) fn write_buffer_size(&self) -> PyResult<usize> {
        let encrypted = self.outgoing.get().map_or(Ok(0), |outgoing| pending(&outgoing))?;
        Ok(encrypted + self.backlog_size.get())
    }

    /// How many received bytes wait to be decrypted.
    #[inline]
    pub(super) fn read_buffer_size(&self) -> PyResult<usize> {
        self.incoming.get().map_or(Ok(0), |incoming| pending(&incoming))
    }

    /// Tells the protocol to pause writing, or to resume.
    pub(super) fn control_app_writing(&self) -> PyResult<()> {
        let size = self.write_buffer_size()?;
        self.control_writing_of(size)
    }

    #[inline]
    pub(super) fn control_writing_of(&self, size: usize) -> PyResult<()> {
        let paused = &self.app_writing_paused;
        if size >= self.outgoing_marks.high.get() && !paused.get() {
            paused.set(true);
            self.tell(&names().pause_writing, "protocol.pause_writing() failed")
        } else if size <= self.outgoing_marks.low.get() && paused.get() {
            paused.set(false);
            self.tell(&names().resume_writing, "protocol.resume_writing() failed")
        } else {
            Ok(())
        }
    }

    fn tell(&self, method: &Name, failed: &str) -> PyResult<()> {
        let Some(protocol) = self.app_protocol.get() else { return Ok(()) };
        let Err(raised) = protocol.call_method0(method) else { return Ok(()) };
        let event_loop = self.native_loop();
        let whose = Whose {
            event_loop: event_loop.as_ref(),
            transport: &self.app_transport.get_or_none(),
            protocol: Some(self.as_obj().clone()),
        };
        report(&whose, raised, failed)
    }

    /// Pauses or resumes the transport below.
    pub(super) fn control_ssl_reading(&self) -> PyResult<()> {
        let size = self.read_buffer_size()?;
        let paused = &self.ssl_reading_paused;
        let Some(transport) = self.transport.get() else { return Ok(()) };
        if size >= self.incoming_marks.high.get() && !paused.get() {
            paused.set(true);
            transport.call_method0(&own_names().pause_reading).map(drop)
        } else if size <= self.incoming_marks.low.get() && paused.get() {
            paused.set(false);
            transport.call_method0(&own_names().resume_reading).map(drop)
        } else {
            Ok(())
        }
    }
}

/// Water marks and flags, under asyncio's names.
pub fn properties(properties: Properties<NativeSSLProtocol>) -> Properties<NativeSSLProtocol> {
    type This = Py<NativeSSLProtocol>;
    macro_rules! cells {
        ($properties:expr, flags: $($name:literal => $flag:ident),*;
         marks: $($mark_name:literal => $marks:ident.$mark:ident),* $(,)?) => {
            $properties
            $(.get_set(
                $name,
                |this: &This| Ok(this.$flag.get()),
                |this: &This, value: &Obj| {
                    this.$flag.set(value.is_true()?);
                    Ok(())
                },
            ))*
            $(.get_set(
                $mark_name,
                |this: &This| Ok(this.$marks.$mark.get()),
                |this: &This, value: &Obj| set_mark(&this.$marks.$mark, value),
            ))*
        };
    }
    cells!(
        properties,
        flags:
            c"_ssl_reading_paused" => ssl_reading_paused,
            c"_ssl_writing_paused" => ssl_writing_paused,
            c"_app_reading_paused" => app_reading_paused,
            c"_app_writing_paused" => app_writing_paused;
        marks:
            c"_incoming_high_water" => incoming_marks.high,
            c"_incoming_low_water" => incoming_marks.low,
            c"_outgoing_high_water" => outgoing_marks.high,
            c"_outgoing_low_water" => outgoing_marks.low,
    )
}
