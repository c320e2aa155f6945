//! The coroutine of `create_connection()` and `create_unix_connection()`.
//!
//! Stages:
//!
//! ```text
//! Resolving --addresses--> Dialing --connected--> Introducing --connection_made() called--> end
//!                            |  ^ `--no addresses left--> error
//!                            `--'  an address failed
//! ```
//!
//! A numeric host begins at `Dialing`, a connected socket at `Introducing`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::CStr;

use rustix::net::{AddressFamily, SocketType};

use crate::asyncio::names;
use crate::coroutine::{Coroutine, Routine, Step, WhenReady};
use crate::event_loop::NativeLoop;
use crate::ffi::error::os_error_class;
use crate::ffi::native::TypeCell;
use crate::ffi::{Held, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::sock::{SocketKind, Sockets};
use crate::transport::StreamTransport;

use super::destination::{Destination, Method, Wanted};
use super::dial::{Dial, Dialed};
use super::lookups::Lookups;
use super::target::{literal, target};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing yet.
    New,
    /// The addresses of a host.
    Resolving,
    /// The connection of a socket.
    Dialing,
    /// The call of `connection_made()`.
    Introducing,
}

/// A `create_connection()` or `create_unix_connection()`.
#[derive(Debug)]
pub struct Connect {
    event_loop: Held<NativeLoop>,
    method: Method,
    protocol_factory: Slot,
    destination: RefCell<Option<Destination>>,
    stage: Cell<Stage>,
    /// What `getaddrinfo()` has found and was not tried yet.
    infos: RefCell<VecDeque<Obj>>,
    /// Why the addresses that were tried have failed.
    exceptions: RefCell<Vec<Obj>>,
    /// The socket, until it has a transport.
    sock: Slot,
    /// Whether the socket is closed here if it gets no transport.
    owns_socket: Cell<bool>,
    dial: Dial,
    transport: Slot,
    protocol: Slot,
}

static CONNECT: TypeCell = TypeCell::new();

type This = Py<Coroutine<Connect>>;

impl Connect {
    /// The coroutine of a call.
    pub fn make(
        event_loop: &Py<NativeLoop>,
        method: Method,
        protocol_factory: &Obj,
        destination: Destination,
    ) -> PyResult<Obj> {
        Coroutine::make(Self {
            event_loop: Held::from(event_loop),
            method,
            protocol_factory: Slot::from(protocol_factory.clone()),
            destination: RefCell::new(Some(destination)),
            stage: Cell::new(Stage::New),
            infos: RefCell::default(),
            exceptions: RefCell::default(),
            sock: Slot::default(),
            owns_socket: Cell::new(false),
            dial: Dial::default(),
            transport: Slot::default(),
            protocol: Slot::default(),
        })
    }

    fn event_loop(&self) -> PyResult<Py<NativeLoop>> {
        self.event_loop.get().ok_or_else(Raised::gone)
    }

    fn start(&self, this: &This) -> PyResult<Step> {
        let destination = self.destination.take();
        match destination {
            Some(Destination::Host(wanted)) => self.resolve(this, &wanted),
            Some(Destination::Path(path)) => {
                let family = i32::from(AddressFamily::UNIX.as_raw());
                let kind = SocketType::STREAM.as_raw().cast_signed();
                self.dial(this, SocketKind { family, kind, protocol: 0 }, &path)
            }
            Some(Destination::Socket(sock)) => {
                self.sock.set(Some(sock));
                self.introduce()
            }
            None => Err(Raised::gone()),
        }
    }

    /// Looks the host up, unless it is an address.
    fn resolve(&self, this: &This, wanted: &Wanted) -> PyResult<Step> {
        let Wanted { host, port, family, protocol, flags } = wanted;
        if let Some((kind, address)) = literal(host, port, *family, *protocol)? {
            return self.dial(this, kind, &address).or_else(|raised| self.try_next(this, raised));
        }
        let stock = Lookups::get();
        let event_loop = self.event_loop()?;
        let resolve = event_loop.as_obj().getattr(&stock.names._ensure_resolved)?;
        let place = Obj::tuple(&[host.clone(), port.clone()])?;
        let kind = i64::from(SocketType::STREAM.as_raw());
        let [family, kind, protocol, flags] = [*family, kind, *protocol, *flags].map(Obj::int);
        let values = [&family?, &kind?, &protocol?, &flags?, event_loop.as_obj()];
        self.stage.set(Stage::Resolving);
        resolve.call_keywords(Some(&place), &stock.resolve_keywords, values).map(Step::Wait)
    }

    /// An address has failed: tries the next one. Anything but an `OSError` is the end.
    fn try_next(&self, this: &This, raised: Raised) -> PyResult<Step> {
        let mut exception = raised.take();
        loop {
            let goes_on = self.stage.get() == Stage::Dialing
                && self.method == Method::Tcp
                && exception.is_instance(os_error_class())?;
            if !goes_on {
                return Err(Raised::restore(exception));
            }
            self.close_socket();
            self.exceptions.borrow_mut().push(exception);
            let next = self.infos.borrow_mut().pop_front();
            let Some(info) = next else { return Err(self.failure()?) };
            match self.dial_info(this, &info) {
                Ok(step) => return Ok(step),
                Err(raised) => exception = raised.take(),
            }
        }
    }

    /// Connects to one of the addresses that `getaddrinfo()` gave.
    fn dial_info(&self, this: &This, info: &Obj) -> PyResult<Step> {
        let parts = info.collect()?;
        let [family, kind, protocol, _, address] = parts.as_slice() else {
            return Err(Raised::value_error(&format!(
                "an address of getaddrinfo() has five parts, not {}",
                parts.len()
            )));
        };
        self.dial(this, SocketKind::from_python(family, kind, protocol)?, address)
    }

    /// Makes a socket and connects it.
    fn dial(&self, this: &This, kind: SocketKind, address: &Obj) -> PyResult<Step> {
        self.stage.set(Stage::Dialing);
        let sock = Sockets::get().open(kind)?;
        self.sock.set(Some(sock.clone()));
        self.owns_socket.set(true);
        let event_loop = self.event_loop()?;
        let Some(target) = target(kind, address)? else {
            // Something in it has to be looked up, or is wrong.
            let sock_connect = event_loop.as_obj().getattr(&Lookups::get().names.sock_connect)?;
            return sock_connect.call2(&sock, address).map(Step::Wait);
        };
        match self.dial.begin(&event_loop, &sock, &target, || WhenReady::of(this))? {
            Dialed::Connected => self.introduce(),
            Dialed::Waits(future) => Ok(Step::Wait(future)),
        }
    }

    /// The socket is connected: makes protocol and transport.
    fn introduce(&self) -> PyResult<Step> {
        self.stage.set(Stage::Introducing);
        let event_loop = self.event_loop()?;
        let sock = self.sock.get_or_none();
        if !self.owns_socket.get() {
            // These releases close the program's own socket, too, if it gets no transport.
            self.owns_socket.set(cfg!(Py_3_14));
            sock.call_method1(&names().setblocking, &Obj::bool(false))?;
        }
        let protocol = self.protocol_factory.get_or_none().call0()?;
        let waiter = NativeLoop::create_future(&event_loop)?;
        let transport = StreamTransport::connected(&event_loop, &sock, &protocol, &waiter)?;
        self.sock.set(None);
        self.transport.set(Some(transport.into_obj()));
        self.protocol.set(Some(protocol));
        Ok(Step::Wait(waiter))
    }

    /// Goes on after what was waited for.
    fn go_on(&self, this: &This, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let stage = self.stage.get();
        if stage == Stage::Dialing {
            self.dial.end(&self.event_loop()?)?;
        }
        match (stage, outcome) {
            (Stage::Resolving, Ok(infos)) => {
                let mut infos = VecDeque::from(infos.collect()?);
                let Some(first) = infos.pop_front() else {
                    let text = Obj::str("getaddrinfo() returned empty list")?;
                    return Err(Raised::restore(os_error_class().call1(&text)?));
                };
                self.infos.replace(infos);
                self.dial_info(this, &first).or_else(|raised| self.try_next(this, raised))
            }
            (Stage::Dialing, Ok(_)) => self.introduce(),
            (Stage::Dialing, Err(exception)) => self.try_next(this, Raised::restore(exception)),
            (Stage::Introducing, Ok(_)) => {
                let pair = [self.transport.get_or_none(), self.protocol.get_or_none()];
                Obj::tuple(&pair).map(Step::Done)
            }
            (Stage::Introducing, Err(exception)) => {
                self.transport.get_or_none().call_method0(&names().close)?;
                Err(Raised::restore(exception))
            }
            (_, outcome) => outcome.map(Step::Done).map_err(Raised::restore),
        }
    }

    /// What is raised when all addresses have failed.
    fn failure(&self) -> PyResult<Raised> {
        let exceptions = self.exceptions.take();
        let texts = exceptions
            .iter()
            .map(|exception| exception.to_str()?.to_string_lossy())
            .collect::<PyResult<Vec<_>>>()?;
        match exceptions.first() {
            Some(first) if texts.iter().all(|text| Some(text) == texts.first()) => {
                Ok(Raised::restore(first.clone()))
            }
            _ => {
                let text = format!("Multiple exceptions: {}", texts.join(", "));
                Ok(Raised::restore(os_error_class().call1(&Obj::str(&text)?)?))
            }
        }
    }

    /// Closes a socket that has no transport and is not the program's.
    fn close_socket(&self) {
        let sock = self.sock.take();
        if let Some(sock) = sock.filter(|_| self.owns_socket.replace(false))
            && let Err(raised) = sock.call_method0(&names().close)
        {
            // Why there is no connection says more.
            raised.clear();
        }
    }

    /// Whatever goes wrong, no socket is left open.
    fn closing(&self, step: PyResult<Step>) -> PyResult<Step> {
        step.map_err(|raised| {
            if !self.sock.is_some() {
                return raised;
            }
            let exception = raised.take();
            self.close_socket();
            Raised::restore(exception)
        })
    }
}

impl Routine for Connect {
    const TYPE: &'static CStr = c"batuta._batuta.Connect";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &CONNECT
    }

    fn qualname(&self) -> &'static str {
        self.method.qualname()
    }

    fn begin(&self, this: &This) -> PyResult<Step> {
        self.closing(self.start(this))
    }

    fn resume(&self, this: &This, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        self.closing(self.go_on(this, outcome))
    }

    fn ready(&self, _: &This) -> PyResult<()> {
        self.event_loop.get().map_or(Ok(()), |event_loop| self.dial.ready(&event_loop))
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.event_loop.slot());
        for slot in [&self.protocol_factory, &self.sock, &self.transport, &self.protocol] {
            visitor.slot(slot);
        }
        if let Ok(destination) = self.destination.try_borrow()
            && let Some(destination) = &*destination
        {
            destination.traverse(visitor);
        }
        if let (Ok(infos), Ok(exceptions)) = (self.infos.try_borrow(), self.exceptions.try_borrow())
        {
            infos.iter().chain(&*exceptions).for_each(|object| visitor.obj(object));
        }
        self.dial.traverse(visitor);
    }

    fn clear(&self) {
        let held = (self.destination.take(), self.infos.take(), self.exceptions.take());
        drop(held);
        for slot in [&self.protocol_factory, &self.sock, &self.transport, &self.protocol] {
            slot.set(None);
        }
        self.dial.clear();
        self.event_loop.release();
    }
}
