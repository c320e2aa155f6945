//! `NativeSSLTransport`: what a program writes to.
//!
//! The methods that a program calls for each message are here; the others are those of
//! asyncio's own class, which stands behind this one.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::names;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::lookups::{Lookups, own_names};
use super::protocol::NativeSSLProtocol;
use super::write::size_of_data;

/// The transport of a TLS connection.
#[derive(Debug, Default)]
pub struct NativeSSLTransport {
    event_loop: Slot,
    /// Nothing after a second `close()`, as in asyncio.
    ssl_protocol: Slot,
    closed: Cell<bool>,
    /// What nobody sets in asyncio: the base's fields must stay empty.
    extra: Slot,
    high_water: Slot,
    low_water: Slot,
}

static TRANSPORT: TypeCell = TypeCell::new();

type This = Py<NativeSSLTransport>;

impl Py<NativeSSLTransport> {
    fn write(&self, data: &Obj) -> PyResult<()> {
        let size = size_of_data(data)?;
        if size == 0 {
            return Ok(());
        }
        let Some(protocol) = self.ssl_protocol.get() else { return Ok(()) };
        if let Some(native) = Py::<NativeSSLProtocol>::from_instance(&protocol) {
            return native.write(data, size);
        }
        let pieces = Obj::tuple(std::slice::from_ref(data))?;
        protocol.call_method1(&own_names()._write_appdata, &pieces).map(drop)
    }

    fn writelines(&self, pieces: &Obj) -> PyResult<()> {
        match self.ssl_protocol.get() {
            Some(protocol) => protocol.call_method1(&own_names()._write_appdata, pieces).map(drop),
            None => Ok(()),
        }
    }

    fn is_closing(&self) -> PyResult<bool> {
        if self.closed.get() || !Lookups::get().closes_with_lower {
            return Ok(self.closed.get());
        }
        let Some(protocol) = self.ssl_protocol.get() else { return Ok(true) };
        let Some(native) = Py::<NativeSSLProtocol>::from_instance(&protocol) else {
            return Ok(false);
        };
        match native.transport.get() {
            Some(transport) => transport.call_method0(&names().is_closing)?.is_true(),
            None => Ok(false),
        }
    }
}

/// A field of the base's that was never set.
fn set_or_missing(slot: &Slot, name: &str) -> PyResult<Obj> {
    slot.get().ok_or_else(|| {
        Raised::attribute_error(&format!(
            "'_SSLProtocolTransport' object has no attribute '{name}'"
        ))
    })
}

impl NativeType for NativeSSLTransport {
    const NAME: &'static CStr = c"batuta._batuta.NativeSSLTransport";
    const DOC: &'static CStr = c"The native base of batuta.tls._SSLProtocolTransport.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));

    fn cell() -> &'static TypeCell {
        &TRANSPORT
    }

    fn traverse(&self, visitor: &mut Visitor) {
        let base = [&self.extra, &self.high_water, &self.low_water];
        for slot in [&self.event_loop, &self.ssl_protocol].into_iter().chain(base) {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        let base = [&self.extra, &self.high_water, &self.low_water];
        for slot in [&self.event_loop, &self.ssl_protocol].into_iter().chain(base) {
            slot.set(None);
        }
    }

    fn methods() -> Methods<Self> {
        Methods::new()
            .args(
                c"write",
                c"write($self, data)\n--\n\nEncrypt data and send it.",
                |this: &This, args: &Args<'_>| this.write(args.only("write", &own_names().data)?),
            )
            .args(
                c"writelines",
                c"writelines($self, list_of_data)\n--\n\nEncrypt and send several pieces.",
                |this: &This, args: &Args<'_>| {
                    this.writelines(args.only("writelines", &own_names().list_of_data)?)
                },
            )
            .noargs(
                c"is_closing",
                c"is_closing($self, /)\n--\n\nReturn True if it is closing or closed.",
                |this: &This| this.is_closing(),
            )
    }

    fn properties() -> Properties<Self> {
        macro_rules! field {
            ($properties:expr, $($name:literal => $field:ident: $get:expr),* $(,)?) => {
                $properties$(.get_set(
                    $name,
                    $get,
                    |this: &This, value: &Obj| {
                        this.$field.set(value.non_none().cloned());
                        Ok(())
                    },
                ))*
            };
        }
        let properties = field!(
            Properties::new(),
            c"_loop" => event_loop: |this: &This| Ok(this.event_loop.get()),
            c"_ssl_protocol" => ssl_protocol: |this: &This| Ok(this.ssl_protocol.get()),
            c"_extra" => extra: |this: &This| set_or_missing(&this.extra, "_extra"),
            c"_high_water" => high_water:
                |this: &This| set_or_missing(&this.high_water, "_high_water"),
            c"_low_water" => low_water: |this: &This| set_or_missing(&this.low_water, "_low_water"),
        );
        properties.get_set(
            c"_closed",
            |this: &This| Ok(this.closed.get()),
            |this: &This, value: &Obj| {
                this.closed.set(value.is_true()?);
                Ok(())
            },
        )
    }
}
