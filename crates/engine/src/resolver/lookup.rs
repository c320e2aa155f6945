//! One call of the C library's `getaddrinfo()`: the one thing here that no system call does.

use std::ffi::{CStr, CString, c_int};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use rustix::io::Errno;

/// What `getaddrinfo()` is asked.
#[derive(Debug)]
pub struct Query {
    /// A name or a numeric address.
    pub host: Option<CString>,
    /// A number or the name of a service.
    pub service: Option<CString>,
    /// `AF_INET` and so on, 0 for any.
    pub family: c_int,
    /// `SOCK_STREAM` and so on, 0 for any.
    pub kind: c_int,
    /// `IPPROTO_TCP` and so on, 0 for any.
    pub protocol: c_int,
    /// `AI_PASSIVE` and so on.
    pub flags: c_int,
}

/// An address that it has found.
#[derive(Debug)]
pub struct Found {
    /// `SOCK_STREAM` and so on.
    pub kind: c_int,
    /// `IPPROTO_TCP` and so on.
    pub protocol: c_int,
    /// The official name of the host, with the first address if it was asked for.
    pub canonical_name: Option<String>,
    /// The address.
    pub address: SocketAddr,
}

/// Why it has found nothing.
#[derive(Debug)]
pub enum Failure {
    /// A system call has failed.
    System(Errno),
    /// The resolver says so, by a number and in words.
    Resolver {
        /// `EAI_NONAME` and so on.
        code: c_int,
        /// What `gai_strerror()` says of it.
        text: String,
    },
}

/// What `getaddrinfo()` says.
pub type Answer = Result<Vec<Found>, Failure>;

impl Query {
    /// Asks, and waits for the answer.
    pub fn look_up(&self) -> Answer {
        let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |it| it.as_ptr());
        // SAFETY: a C struct of numbers and pointers, for which zero is a value.
        let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
        hints.ai_family = self.family;
        hints.ai_socktype = self.kind;
        hints.ai_protocol = self.protocol;
        hints.ai_flags = self.flags;
        let mut list = ptr::null_mut();
        // SAFETY: strings and hints live until the call returns; the list is written by it.
        let code = unsafe {
            libc::getaddrinfo(
                pointer(&self.host),
                pointer(&self.service),
                &raw const hints,
                &raw mut list,
            )
        };
        match code {
            0 => {}
            libc::EAI_SYSTEM => {
                let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
                return Err(Failure::System(Errno::from_raw_os_error(errno)));
            }
            code => {
                // SAFETY: a C string that stays.
                let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
                return Err(Failure::Resolver { code, text: text.to_string_lossy().into_owned() });
            }
        }
        let mut found = Vec::new();
        let mut next = list;
        // SAFETY: the call has succeeded, so the list is whole until it is freed, once.
        unsafe {
            while let Some(info) = next.as_ref() {
                found.extend(read(info));
                next = info.ai_next;
            }
            libc::freeaddrinfo(list);
        }
        Ok(found)
    }
}

/// An entry of the list; nothing for an address of a family that is not known.
///
/// # Safety
/// An entry that `getaddrinfo()` has written.
unsafe fn read(info: &libc::addrinfo) -> Option<Found> {
    // SAFETY: the address is of the type that its family says; the name is null or a C string.
    unsafe {
        let address = match info.ai_family {
            libc::AF_INET => {
                let address = info.ai_addr.cast::<libc::sockaddr_in>().read_unaligned();
                let host = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                SocketAddrV4::new(host, u16::from_be(address.sin_port)).into()
            }
            libc::AF_INET6 => {
                let address = info.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                let host = Ipv6Addr::from(address.sin6_addr.s6_addr);
                let (port, flow) = (u16::from_be(address.sin6_port), address.sin6_flowinfo);
                SocketAddrV6::new(host, port, u32::from_be(flow), address.sin6_scope_id).into()
            }
            _ => return None,
        };
        let name = info.ai_canonname;
        let canonical_name =
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned());
        Some(Found { kind: info.ai_socktype, protocol: info.ai_protocol, canonical_name, address })
    }
}
