//! Streams: what `open_connection()` and `start_server()` give to a program.
//!
//! Role: the native bases of `batuta.StreamReader`, `StreamReaderProtocol` and
//! `StreamWriter`. Each public class has one of these types first and asyncio's own
//! class second: what runs for each message and for each connection is here. The rest is inherited
//! and works through our properties, which have the names of asyncio's private attributes.
//!
//! A native transport whose protocol is of ours puts what it receives into the reader's
//! buffer itself (`transport/stream/feed.rs`); every other transport, and a program, calls
//! `data_received()` and `feed_data()`, as with asyncio's classes. Methods that a program
//! has replaced are called everywhere.
//!
//! Ownership: the writer holds reader, transport and protocol; the protocol refers to the
//! reader weakly; the reader holds the transport, to pause it. Each waiting coroutine
//! holds its reader or writer and its own future.
//!
//! Invariant: no borrow of a buffer lasts across anything that may run Python code.
//!
//! Thread: that of the loop, as asyncio demands of its users.

mod buffer;
mod lookups;
mod protocol;
mod reader;
mod writer;

use crate::asyncio::names;
use crate::event_loop::{NativeLoop, Past};
use crate::ffi::native::define;
use crate::ffi::{Obj, Py, PyResult, Raised, Slot};

pub use protocol::{NativeStreamReaderProtocol, set_writer_class};
pub use reader::NativeStreamReader;
pub use writer::NativeStreamWriter;

/// Makes the classes.
pub fn load(add: impl Fn(&'static std::ffi::CStr, &Obj) -> PyResult<()>) -> PyResult<()> {
    lookups::Lookups::load()?;
    add(c"NativeStreamReader", &reader::prepare(define::<NativeStreamReader>(None)?)?)?;
    let protocol = protocol::prepare(define::<NativeStreamReaderProtocol>(None)?)?;
    add(c"NativeStreamReaderProtocol", &protocol)?;
    add(c"NativeStreamWriter", &writer::prepare(define::<NativeStreamWriter>(None)?)?)
}

/// A new future of the loop.
#[inline]
fn new_future(event_loop: &Slot) -> PyResult<Obj> {
    let event_loop = event_loop.get_or_none();
    match Py::<NativeLoop>::from_instance(&event_loop) {
        Some(native) if NativeLoop::may_go_past(native, Past::CreateFuture) => {
            NativeLoop::create_future(native)
        }
        _ => event_loop.call_method0(&names().create_future),
    }
}

/// `raise class(first, second)`
#[cold]
fn raise2(class: &Obj, first: &Obj, second: &Obj) -> Raised {
    match class.call2(first, second) {
        Ok(exception) => Raised::raise(&exception),
        Err(raised) => raised,
    }
}
