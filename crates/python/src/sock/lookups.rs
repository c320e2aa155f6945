//! What the `sock_*` calls need to know of the `socket` module, looked up once
//! at import.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname};

use crate::asyncio::{Asyncio, names};
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::socket::{Example, SocketFields};
use crate::ffi::{Obj, PyResult, Raised};

use super::ops::Method;

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        __init__, __new__, accept, buf, bufsize, cast, data, gettimeout, n, nbytes, recv,
        recv_into, recvfrom, recvfrom_into, sendto, setblocking, sock,
    }
}

/// Among so many numbers an open socket is looked for.
const MANY_DESCRIPTORS: RawFd = 1024;

/// The `socket` module.
#[derive(Debug)]
pub struct Sockets {
    /// Interned names.
    pub names: Names,
    /// `asyncio.base_events._check_ssl_socket`.
    pub check_ssl_socket: Obj,
    /// The module itself.
    module: Obj,
    /// `socket.socket`.
    class: Obj,
    /// Methods of `_socket.socket` that are gone past all at once.
    own: [(Name, Obj); 5],
    /// With which version of the class they were last seen to be those in use.
    seen_own: Cell<Option<NonZeroU32>>,
    /// The methods of `_socket.socket`: those of [`Method`] in its order, `fileno`, `gettimeout`.
    genuine: [Obj; 8],
    /// `socket.socket.accept`.
    accept: Obj,
    /// `_socket.socket.detach`.
    detach: Obj,
    /// The descriptors `_socket.socket.family`, `.type` and `.proto`.
    family: Obj,
    kind: Obj,
    protocol: Obj,
    stream: i32,
    /// Where a `socket.socket` keeps its descriptor and timeout, if that was found.
    fields: Option<SocketFields>,
    /// The version of `socket.socket` in which nobody had replaced a method.
    unpatched: Cell<Option<NonZeroU32>>,
}

/// What a socket was made with, as numbers.
#[derive(Clone, Copy, Debug)]
pub struct SocketKind {
    /// `AF_INET` and so on.
    pub family: i32,
    /// `SOCK_STREAM` and so on.
    pub kind: i32,
    /// `IPPROTO_TCP` and so on; mostly zero.
    pub protocol: i32,
}

impl SocketKind {
    /// Of numbers as Python has them.
    pub fn from_python(family: &Obj, kind: &Obj, protocol: &Obj) -> PyResult<Self> {
        let [family, kind, protocol] = [family, kind, protocol].map(Obj::to_i32);
        Ok(Self { family: family?, kind: kind?, protocol: protocol? })
    }
}

static SOCKETS: Global<Sockets> = Global::new();

impl Sockets {
    /// Looks everything up.
    pub fn load() -> PyResult<()> {
        let native = import(c"_socket")?.attr(c"socket")?;
        let class = import(c"socket")?.attr(c"socket")?;
        let own = |name| PyResult::Ok((Name::intern(name)?, native.attr(name)?));
        let fields = find_fields(&class, &native).unwrap_or_else(|raised| {
            raised.clear();
            None
        });
        SOCKETS.set(Self {
            names: Names::intern()?,
            fields,
            unpatched: Cell::new(None),
            check_ssl_socket: import(c"asyncio.base_events")?.attr(c"_check_ssl_socket")?,
            accept: class.attr(c"accept")?,
            detach: native.attr(c"detach")?,
            module: import(c"socket")?,
            class,
            own: [
                own(c"connect")?,
                own(c"getpeername")?,
                own(c"getsockname")?,
                own(c"getsockopt")?,
                own(c"setblocking")?,
            ],
            seen_own: Cell::new(None),
            genuine: [
                native.attr(c"recv")?,
                native.attr(c"recv_into")?,
                native.attr(c"recvfrom")?,
                native.attr(c"recvfrom_into")?,
                native.attr(c"send")?,
                native.attr(c"sendto")?,
                native.attr(c"fileno")?,
                native.attr(c"gettimeout")?,
            ],
            family: native.attr(c"family")?,
            kind: native.attr(c"type")?,
            protocol: native.attr(c"proto")?,
            stream: import(c"_socket")?.attr(c"SOCK_STREAM")?.to_i32()?,
        });
        Ok(())
    }

    /// The `socket` module.
    #[inline]
    pub fn get() -> &'static Self {
        SOCKETS.get()
    }

    /// Whether the socket's own method would do nothing but the system call:
    /// exactly a `socket.socket`, in which nobody has replaced it.
    #[inline]
    pub fn is_genuine(&self, sock: &Obj, method: Method) -> PyResult<bool> {
        if !self.is_plain(sock) || method == Method::Accept {
            return Ok(false);
        }
        let version = sock.class_version();
        if version.is_some() && self.unpatched.get() == version {
            return Ok(true);
        }
        self.look_for_patches(sock, method)
    }

    #[cold]
    fn look_for_patches(&self, sock: &Obj, method: Method) -> PyResult<bool> {
        let own = &self.names;
        let [recv, recv_into, recvfrom, recvfrom_into, send, sendto, fileno, gettimeout] =
            &self.genuine;
        let methods: [(&Name, &Obj, Option<Method>); 8] = [
            (&names().fileno, fileno, None),
            (&own.gettimeout, gettimeout, None),
            (&own.recv, recv, Some(Method::Recv)),
            (&own.recv_into, recv_into, Some(Method::RecvInto)),
            (&own.recvfrom, recvfrom, Some(Method::RecvFrom)),
            (&own.recvfrom_into, recvfrom_into, Some(Method::RecvFromInto)),
            (&names().send, send, Some(Method::SendAll)),
            (&own.sendto, sendto, Some(Method::SendTo)),
        ];
        let mut unpatched = true;
        for (name, genuine, of) in methods {
            if self.class.getattr(name)?.is(genuine) {
                continue;
            }
            if of.is_none_or(|of| of == method) {
                return Ok(false);
            }
            unpatched = false;
        }
        if unpatched {
            self.unpatched.set(sock.class_version());
        }
        Ok(true)
    }

    /// Whether this is exactly a `socket.socket`.
    pub fn is_plain(&self, sock: &Obj) -> bool {
        sock.is_exactly(&self.class)
    }

    /// What a socket was made with, if it is exactly a `socket.socket`: its own attributes make
    /// enums of the numbers.
    pub fn kind_of(&self, sock: &Obj) -> PyResult<Option<SocketKind>> {
        if !self.is_plain(sock) {
            return Ok(None);
        }
        let [kind, protocol] = [&self.kind, &self.protocol].map(|number| number.bound_to(sock));
        SocketKind::from_python(&self.family.bound_to(sock)?, &kind?, &protocol?).map(Some)
    }

    /// The same of a listening socket whose `accept()` nobody has replaced.
    pub fn listener_kind(&self, sock: &Obj) -> PyResult<Option<SocketKind>> {
        if self.class.getattr(&self.names.accept)?.is(&self.accept) {
            self.kind_of(sock)
        } else {
            Ok(None)
        }
    }

    /// Whether nobody has replaced `socket.socket`, or the methods of it by which a socket is
    /// connected, for asyncio or for everybody.
    pub fn may_connect(&self) -> PyResult<bool> {
        let socket = &names().socket;
        if !Asyncio::get().base_events.getattr(socket)?.is(&self.module)
            || !self.module.getattr(socket)?.is(&self.class)
        {
            return Ok(false);
        }
        self.has_own_methods()
    }

    /// Whether this is exactly a `socket.socket`, of which nobody has replaced the methods that
    /// say its addresses.
    pub fn says_addresses_itself(&self, sock: &Obj) -> PyResult<bool> {
        Ok(self.is_plain(sock) && self.says_addresses()?)
    }

    /// Whether nobody has replaced the methods of `socket.socket` that say its addresses.
    pub fn says_addresses(&self) -> PyResult<bool> {
        self.has_own_methods()
    }

    /// Whether the methods that native code goes past are those of `_socket.socket`.
    fn has_own_methods(&self) -> PyResult<bool> {
        let version = self.class.version_as_class();
        if version.is_some() && self.seen_own.get() == version {
            return Ok(true);
        }
        for (name, own) in &self.own {
            if !self.class.getattr(name)?.is(own) {
                return Ok(false);
            }
        }
        self.seen_own.set(self.class.version_as_class());
        Ok(true)
    }

    /// A new socket, in non-blocking mode.
    pub fn open(&self, made_with: SocketKind) -> PyResult<Obj> {
        let [family, kind, protocol] = nonblocking(made_with)?;
        self.class.call_with(&[&family, &kind, &protocol])
    }

    /// A socket object of a descriptor, which is in non-blocking mode already. It closes it at
    /// its end, unless it is [detached](Self::detach); one that cannot be made does not.
    pub fn adopt(&self, made_with: SocketKind, fd: RawFd) -> PyResult<Obj> {
        let sock = self.class.call_method1(&self.names.__new__, &self.class)?;
        let made = nonblocking(made_with).and_then(|[family, kind, protocol]| {
            let init = self.class.getattr(&self.names.__init__)?;
            init.call_with(&[&sock, &family, &kind, &protocol, &Obj::int(fd.into())?])
        });
        made.map_err(|raised| {
            let exception = raised.take();
            // It may have got that far.
            self.detach(&sock);
            Raised::restore(exception)
        })?;
        Ok(sock)
    }

    /// A closed socket of that kind. If the process has any socket, the system need not have a
    /// descriptor to spare: it is made with the number of that one, and does not keep it.
    pub fn closed(&self, made_with: SocketKind) -> PyResult<Obj> {
        // SAFETY: no more is done to the number than to ask for its address.
        let is_socket = |fd: &RawFd| getsockname(unsafe { BorrowedFd::borrow_raw(*fd) }).is_ok();
        let sock = match (0..MANY_DESCRIPTORS).find(is_socket) {
            Some(fd) => {
                let sock = self.adopt(made_with, fd)?;
                self.detach(&sock);
                sock
            }
            None => self.open(made_with)?,
        };
        sock.call_method0(&names().close)?;
        Ok(sock)
    }

    /// Has a socket forget its descriptor.
    pub fn detach(&self, sock: &Obj) {
        if let Err(raised) = self.detach.call1(sock) {
            // It has forgotten the number before it could fail to say it.
            raised.clear();
        }
    }

    /// `sock.fileno()`
    #[inline]
    pub fn fd(&self, sock: &Obj) -> PyResult<RawFd> {
        if let Some(fd) = self.fields.as_ref().and_then(|fields| fields.fd(sock)) {
            return Ok(fd);
        }
        let number = sock.call_method0(&names().fileno)?.to_i64()?;
        Ok(RawFd::try_from(number).unwrap_or(-1))
    }

    /// `sock.gettimeout() == 0`
    pub fn is_nonblocking(&self, sock: &Obj) -> PyResult<bool> {
        if let Some(answer) = self.fields.as_ref().and_then(|fields| fields.is_nonblocking(sock)) {
            return Ok(answer);
        }
        sock.call_method0(&self.names.gettimeout)?.equals(&Obj::int(0)?)
    }

    /// The number of the socket's address family, for a genuine socket.
    pub fn family(&self, sock: &Obj) -> PyResult<i32> {
        self.family.bound_to(sock)?.to_i32()
    }

    /// Whether a genuine socket is a stream.
    pub fn is_stream(&self, sock: &Obj) -> PyResult<bool> {
        Ok(self.kind.bound_to(sock)?.to_i32()? == self.stream)
    }
}

/// What a socket of this kind in non-blocking mode is made with. Told so by the flag, the system
/// makes it so, and one that exists is not asked: one call less.
fn nonblocking(SocketKind { family, kind, protocol }: SocketKind) -> PyResult<[Obj; 3]> {
    let kind = i64::from(kind) | i64::from(SocketFlags::NONBLOCK.bits());
    let [family, kind, protocol] = [family.into(), kind, protocol.into()].map(Obj::int);
    Ok([family?, kind?, protocol?])
}

/// Finds where sockets keep what is read of them most often.
fn find_fields(class: &Obj, native: &Obj) -> PyResult<Option<SocketFields>> {
    let (family, kind) = (AddressFamily::UNIX.as_raw(), SocketType::DGRAM.as_raw());
    let example = class.call2(&Obj::int(family.into())?, &Obj::int(kind.into())?)?;
    let found = (|| {
        let fd = example.attr(c"fileno")?.call0()?.to_i64()?;
        let settimeout = example.attr(c"settimeout")?;
        settimeout.call1(&Obj::float(12.25)?)?;
        let numbers = [RawFd::try_from(fd).unwrap_or(-1), family.into(), kind.cast_signed(), 0];
        let known = Example { sock: &example, numbers, timeout: 12_250_000_000 };
        let Some(fields) = SocketFields::find(class, native, known) else { return Ok(None) };
        // A socket without a timeout blocks, one with a timeout of zero does not.
        settimeout.call1(&Obj::none())?;
        let blocking = fields.is_nonblocking(&example);
        settimeout.call1(&Obj::int(0)?)?;
        let nonblocking = fields.is_nonblocking(&example);
        Ok((blocking == Some(false) && nonblocking == Some(true)).then_some(fields))
    })();
    example.attr(c"close")?.call0()?;
    found
}
