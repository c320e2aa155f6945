//! The `sock_*` calls, as methods of the loop that look like asyncio's own.

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::function::add_method;
use crate::ffi::module::import;
use crate::ffi::names::Name;
use crate::ffi::{Args, Obj, Py, PyResult};

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
            return Err(args.missing(method.name(), &name.as_obj().to_string_lossy()?));
        }
    }
    let argument = |index: usize| bound.get(index).copied().flatten();
    let Some(sock) = argument(0) else { return Ok(Obj::none()) };
    SockOp::make(event_loop, Operation::new(method, sock, argument(1), argument(2)))
}

/// Gives the class of native loops the calls.
pub fn load(class: &Obj) -> PyResult<()> {
    let stock = import(c"asyncio.selector_events")?.attr(c"BaseSelectorEventLoop")?;
    add_method(class, &stock, c"sock_recv", |this: &Py<NativeLoop>, args: &Args<'_>| {
        let own = &Sockets::get().names;
        call(this, args, Method::Recv, [&own.sock, &own.n], 2)
    })?;
    add_method(class, &stock, c"sock_recv_into", |this: &Py<NativeLoop>, args: &Args<'_>| {
        let own = &Sockets::get().names;
        call(this, args, Method::RecvInto, [&own.sock, &own.buf], 2)
    })?;
    add_method(class, &stock, c"sock_recvfrom", |this: &Py<NativeLoop>, args: &Args<'_>| {
        let own = &Sockets::get().names;
        call(this, args, Method::RecvFrom, [&own.sock, &own.bufsize], 2)
    })?;
    add_method(class, &stock, c"sock_recvfrom_into", |this: &Py<NativeLoop>, args: &Args<'_>| {
        let own = &Sockets::get().names;
        call(this, args, Method::RecvFromInto, [&own.sock, &own.buf, &own.nbytes], 2)
    })?;
    add_method(class, &stock, c"sock_sendall", |this: &Py<NativeLoop>, args: &Args<'_>| {
        let own = &Sockets::get().names;
        call(this, args, Method::SendAll, [&own.sock, &own.data], 2)
    })?;
    add_method(class, &stock, c"sock_sendto", |this: &Py<NativeLoop>, args: &Args<'_>| {
        let own = &Sockets::get().names;
        call(this, args, Method::SendTo, [&own.sock, &own.data, &names().address], 3)
    })?;
    add_method(class, &stock, c"sock_accept", |this: &Py<NativeLoop>, args: &Args<'_>| {
        call(this, args, Method::Accept, [&Sockets::get().names.sock], 1)
    })
}
