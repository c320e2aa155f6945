//! TLS: the native halves of `batuta.tls`'s two classes.
//!
//! Role: what runs for each message of a TLS connection. `NativeSSLProtocol` stands between a
//! transport and the interpreter's own `_ssl`, `NativeSSLTransport` is what the program
//! writes to. Each public class has one of these first and asyncio's own class second: the
//! handshake, the shutdown, timeouts and the reports of errors are inherited, version by
//! version, and work through our properties, which have the names of asyncio's private
//! attributes. The cryptography, and every setting of an `SSLContext`, is `_ssl`'s.
//!
//! ```text
//! socket -> window of ciphertext -> MemoryBIO -> _SSLSocket.read -> window of plaintext
//!                                                   -> bytes or the buffer of a StreamReader
//! write() -> _SSLSocket.write -> MemoryBIO -> bytes -> transport.write()
//! ```
//!
//! Both windows are the loop's, shared by all its connections, so that they stay in the
//! processor's caches and an idle connection has no buffer. What makes `_ssl` expensive is the
//! exception that says that no record is there: it is not asked when it cannot have one
//! (`read.rs`).
//!
//! Ownership: the protocol holds the transport below, the program's protocol and the
//! transport above, and lets go of all three in `connection_lost()`.
//!
//! Invariants: no window is lent while Python code runs, but to the functions of `_ssl`;
//! [`State`] changes where asyncio's `_set_state()` changes it.
//!
//! Files: this one has the state and its properties; `read` is the way in, `write` the way
//! out, `flow` who is told to wait, `face` the transport, `lookups` what is found at import.

mod face;
mod flow;
mod lookups;
mod protocol;
mod read;
mod state;
mod write;

use crate::ffi::native::define;
use crate::ffi::window::Spare;
use crate::ffi::{Obj, PyResult};

pub use protocol::NativeSSLProtocol;

/// Where a loop's connections receive, and where they decrypt to.
#[derive(Debug, Default)]
pub struct Windows {
    received: Spare,
    plain: Spare,
}

/// Makes the classes, if the interpreter has TLS at all.
pub fn load(
    flow_control: &Obj,
    add: impl Fn(&'static std::ffi::CStr, &Obj) -> PyResult<()>,
) -> PyResult<()> {
    if !lookups::Lookups::load()? {
        return Ok(());
    }
    let protocol = protocol::prepare(define::<NativeSSLProtocol>(None)?)?;
    add(c"NativeSSLProtocol", &protocol)?;
    add(c"NativeSSLTransport", &define::<face::NativeSSLTransport>(Some(flow_control))?)
}
