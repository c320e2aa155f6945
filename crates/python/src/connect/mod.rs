//! Connecting: `create_connection()`, `create_unix_connection()` and `sock_connect()`.
//!
//! Role: coroutines without a frame for the usual calls: plain TCP to a host and port, or over
//! a socket that is connected already, and Unix sockets; one address after the other. What a
//! call asks for besides (TLS, a local address, happy eyeballs, debug mode, which logs) is the
//! business of the interpreter's own coroutine, and so is everything while a program has
//! replaced a part of it: a method of the loop, `socket.socket` or one of its methods.
//!
//! All is done in the same order as there: `loop.getaddrinfo()` resolves a name; each address
//! gets a real `socket.socket`; the loop's writers tell of the connection; the protocol is made,
//! then its transport, and the coroutine goes on when `connection_made()` has been called. Audit
//! hooks hear of `socket.__new__` and `socket.connect`.
//!
//! Ownership: a coroutine owns the socket until a transport has it, and closes it when the
//! attempt fails or is cancelled.
//!
//! Thread: the loop's.
//!
//! Files: `arguments` says which calls are native and where they lead (`destination`), `target`
//! which addresses need no look-up, `dial` is one `connect()`, `routine` the coroutine of the two
//! `create_*` calls, `sock_connect` the third.

mod arguments;
mod destination;
mod dial;
mod lookups;
mod routine;
mod sock_connect;
mod target;

use crate::ffi::{Obj, PyResult};

use lookups::Lookups;
pub use lookups::has_originals;

/// Gives the class of native loops its methods.
pub fn load(class: &Obj) -> PyResult<()> {
    Lookups::load()?;
    let stock = Lookups::get();
    let tcp = stock.create_connection.native_method(arguments::create_connection)?;
    class.set_attr(c"create_connection", &tcp)?;
    let unix = stock.create_unix_connection.native_method(arguments::create_unix_connection)?;
    class.set_attr(c"create_unix_connection", &unix)?;
    let sock =
        Lookups::native_sock_connect(|model| model.native_method(sock_connect::sock_connect))?;
    class.set_attr(c"sock_connect", sock)
}

/// Makes the coroutines' types.
pub fn define() -> PyResult<()> {
    crate::coroutine::define::<routine::Connect>()?;
    crate::coroutine::define::<sock_connect::SockConnect>()
}
