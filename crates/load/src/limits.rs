//! What this process may use: one processor, as many descriptors as the machine gives, and room for
//! datagrams that wait.

use std::os::fd::AsFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

pub fn pin(core: Option<usize>) -> Result<(), String> {
    let Some(core) = core else { return Ok(()) };
    if core >= CpuSet::MAX_CPU {
        return Err(format!("there is no core {core}"));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| format!("core {core}: {error}"))
}

/// Raises the limit of open descriptors to what is allowed, and returns it.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let reached =
        if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    reached.unwrap_or(u64::MAX)
}

/// The receive buffer that a socket for datagrams asks for, in bytes. The usual one does not hold
/// what a hundred clients send at the start, and a datagram that is lost is not sent again.
const ROOM_FOR_DATAGRAMS: usize = 4 << 20;

pub fn make_room_for_datagrams(socket: impl AsFd) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_recv_buffer_size(socket, ROOM_FOR_DATAGRAMS)
}
