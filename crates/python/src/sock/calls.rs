//! The `sock_*` calls, as methods of the loop.

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::method::Methods;
use crate::ffi::names::Name;
use crate::ffi::{Args, Obj, Py, PyResult, Raised};

use super::SockOp;
use super::lookups::Sockets;
use super::ops::{Method, Operation};

/// Makes the coroutine of a call.
fn call<const N: usize>(
    event_loop: &Py<NativeLoop>,
    args: &Args<'_>,
    method: Method,
    parameters: [&Name; N],
    required: usize,
) -> PyResult<Obj> {
    let bound = args.bind(method.name(), 0, parameters)?;
    for (value, name) in bound.iter().zip(parameters).take(required) {
        if value.is_none() {
            let name = name.as_obj().to_string_lossy()?;
            return Err(Raised::type_error(&format!(
                "{}() missing a required argument: '{name}'",
                method.name()
            )));
        }
    }
    let argument = |index: usize| bound.get(index).copied().flatten();
    let Some(sock) = argument(0) else { return Ok(Obj::none()) };
    SockOp::make(event_loop, Operation::new(method, sock, argument(1), argument(2)))
}

/// The calls, as methods of the loop.
pub fn methods(methods: Methods<NativeLoop>) -> Methods<NativeLoop> {
    methods
        .args(
            c"sock_recv",
            c"sock_recv($self, /, sock, n)\n--\n\n\
              Receive up to n bytes from the non-blocking socket and return them.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                let own = &Sockets::get().names;
                call(this, args, Method::Recv, [&own.sock, &own.n], 2)
            },
        )
        .args(
            c"sock_recv_into",
            c"sock_recv_into($self, /, sock, buf)\n--\n\n\
              Receive into the buffer and return the number of bytes.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                let own = &Sockets::get().names;
                call(this, args, Method::RecvInto, [&own.sock, &own.buf], 2)
            },
        )
        .args(
            c"sock_recvfrom",
            c"sock_recvfrom($self, /, sock, bufsize)\n--\n\n\
              Receive a datagram of up to bufsize bytes and return it with its sender's address.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                let own = &Sockets::get().names;
                call(this, args, Method::RecvFrom, [&own.sock, &own.bufsize], 2)
            },
        )
        .args(
            c"sock_recvfrom_into",
            c"sock_recvfrom_into($self, /, sock, buf, nbytes=0)\n--\n\n\
              Receive a datagram into the buffer; return its size and its sender's address.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                let own = &Sockets::get().names;
                call(this, args, Method::RecvFromInto, [&own.sock, &own.buf, &own.nbytes], 2)
            },
        )
        .args(
            c"sock_sendall",
            c"sock_sendall($self, /, sock, data)\n--\n\n\
              Send all of the data. After an error nobody knows how much was sent.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                let own = &Sockets::get().names;
                call(this, args, Method::SendAll, [&own.sock, &own.data], 2)
            },
        )
        .args(
            c"sock_sendto",
            c"sock_sendto($self, /, sock, data, address)\n--\n\n\
              Send a datagram to the address and return the number of bytes sent.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                let own = &Sockets::get().names;
                call(this, args, Method::SendTo, [&own.sock, &own.data, &names().address], 3)
            },
        )
        .args(
            c"sock_accept",
            c"sock_accept($self, /, sock)\n--\n\n\
              Accept a connection; return its non-blocking socket and the peer's address.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                call(this, args, Method::Accept, [&Sockets::get().names.sock], 1)
            },
        )
}
