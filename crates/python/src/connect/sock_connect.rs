//! `loop.sock_connect()`.
//!
//! Native for plain sockets in non-blocking mode and addresses in which nothing has to be
//! looked up.

use std::ffi::CStr;

use crate::coroutine::{Coroutine, Routine, Step, WhenReady};
use crate::event_loop::NativeLoop;
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Held, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::sock::Sockets;

use super::dial::{Dial, Dialed};
use super::lookups::{Lookups, may_be_native};
use super::target::{Target, target};

/// A `sock_connect()`.
#[derive(Debug)]
pub struct SockConnect {
    event_loop: Held<NativeLoop>,
    sock: Slot,
    address: Slot,
    dial: Dial,
}

static SOCK_CONNECT: TypeCell = TypeCell::new();

/// `loop.sock_connect(sock, address)`
pub fn sock_connect(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Obj> {
    let names = &crate::asyncio::names().address;
    let bound = args.bind("sock_connect", 0, [&Lookups::get().names.sock, names])?;
    if let [Some(sock), Some(address)] = bound
        && may_be_native(event_loop)?
        && leads_somewhere(sock, address)?
        && Sockets::get().is_nonblocking(sock)?
    {
        return Coroutine::make(SockConnect {
            event_loop: Held::from(event_loop),
            sock: Slot::from(sock.clone()),
            address: Slot::from(address.clone()),
            dial: Dial::default(),
        });
    }
    args.forward(&Lookups::get().sock_connect, event_loop.as_obj())
}

/// Whether it is known where the address leads. What is wrong with one is said when the coroutine
/// runs, by asyncio's own.
fn leads_somewhere(sock: &Obj, address: &Obj) -> PyResult<bool> {
    match target_of(sock, address) {
        Ok(target) => Ok(target.is_some()),
        Err(raised) if raised.escapes() => Err(raised),
        Err(raised) => {
            raised.clear();
            Ok(false)
        }
    }
}

/// Where the address leads, if the socket is a plain one and nothing has to be looked up.
fn target_of(sock: &Obj, address: &Obj) -> PyResult<Option<Target>> {
    Sockets::get().kind_of(sock)?.map_or(Ok(None), |kind| target(kind, address))
}

impl Routine for SockConnect {
    const TYPE: &'static CStr = c"batuta._batuta.SockConnect";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &SOCK_CONNECT
    }

    fn qualname(&self) -> &'static str {
        "BaseSelectorEventLoop.sock_connect"
    }

    fn begin(&self, this: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(event_loop) = self.event_loop.get() else { return Err(Raised::gone()) };
        let (sock, address) = (self.sock.get_or_none(), self.address.get_or_none());
        let Some(target) = target_of(&sock, &address)? else { return Err(Raised::gone()) };
        match self.dial.begin(&event_loop, &sock, &target, || WhenReady::of(this))? {
            Dialed::Connected => Ok(Step::Done(Obj::none())),
            Dialed::Waits(future) => Ok(Step::Wait(future)),
        }
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let Some(event_loop) = self.event_loop.get() else { return Err(Raised::gone()) };
        self.dial.end(&event_loop)?;
        outcome.map(Step::Done).map_err(Raised::restore)
    }

    fn ready(&self, _: &Py<Coroutine<Self>>) -> PyResult<()> {
        self.event_loop.get().map_or(Ok(()), |event_loop| self.dial.ready(&event_loop))
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.event_loop.slot());
        visitor.slot(&self.sock);
        visitor.slot(&self.address);
        self.dial.traverse(visitor);
    }

    fn clear(&self) {
        self.dial.clear();
        self.sock.set(None);
        self.address.set(None);
        self.event_loop.release();
    }
}
