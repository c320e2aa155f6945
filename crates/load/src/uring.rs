//! What a server could gain by `io_uring`: `serve --uring`, the echo over TCP of [`crate::serve`]
//! with completions instead of readiness.
//!
//! One thread, one ring (`DEFER_TASKRUN`, `SINGLE_ISSUER`), a multishot accept, a multishot receive
//! for each connection into a ring of buffers, one send in flight for each connection. What was
//! received is sent from the buffer it came in, which goes back to the ring when it has gone.
//!
//! Ownership: the kernel owns a buffer from the moment it is given until a completion names it, and
//! again from a send's submission to its completion.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::limits;
use crate::serve::{attend, introduce};

const RUNNER: u64 = u64::MAX;
const ACCEPT: u64 = u64::MAX - 1;
/// Set in the user data of a send, which has the peer's key below it.
const SEND: u64 = 1 << 48;

const ENTRIES: u32 = 4096;
const BUFFERS: u16 = 1024;
const BUFFER_SIZE: u32 = 128 << 10;
const GROUP: u16 = 0;
const BACKLOG: i32 = 1024;

/// The ring of buffers that receives take theirs from.
struct Buffers {
    ring: *mut BufRingEntry,
    memory: Vec<u8>,
    tail: u16,
}

impl Buffers {
    fn new(ring: &IoUring) -> io::Result<Self> {
        let size = usize::from(BUFFERS) * size_of::<BufRingEntry>();
        // SAFETY: new memory, nobody else's, on a page boundary as the kernel wants it; it stays
        // until the process ends.
        let entries = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if entries == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: memory for that many entries, which outlives the ring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries as u64, BUFFERS, GROUP, 0)?;
        };
        let memory = vec![0; usize::from(BUFFERS) * BUFFER_SIZE as usize];
        let mut buffers = Self { ring: entries.cast(), memory, tail: 0 };
        (0..BUFFERS).for_each(|number| buffers.give(number));
        Ok(buffers)
    }

    fn place(&self, number: u16) -> *const u8 {
        self.memory[usize::from(number) * BUFFER_SIZE as usize..].as_ptr()
    }

    /// Gives a buffer to the kernel.
    fn give(&mut self, number: u16) {
        let address = self.place(number) as u64;
        // SAFETY: the index is below the number of entries; the kernel reads an entry only after
        // the tail has passed it.
        unsafe {
            let entry = &mut *self.ring.add(usize::from(self.tail % BUFFERS));
            entry.set_addr(address);
            entry.set_len(BUFFER_SIZE);
            entry.set_bid(number);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.ring).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

/// A connection, and what waits to be sent on it: number of the buffer, how much of it is sent,
/// how much is in it. The first is in flight; as long as it is, the peer stays, so that its buffer
/// and its descriptor are nobody else's.
struct Peer {
    socket: OwnedFd,
    waiting: VecDeque<(u16, u32, u32)>,
    /// The client has ended the connection.
    gone: bool,
}

impl Peer {
    fn fd(&self) -> Fd {
        Fd(self.socket.as_raw_fd())
    }
}

struct Server {
    ring: IoUring,
    buffers: Buffers,
    listener: TcpListener,
    /// By descriptor, which is the key in user data.
    peers: Vec<Option<Peer>>,
}

/// Serves until standard input ends.
pub fn run(core: Option<usize>) -> Result<(), String> {
    limits::pin(core)?;
    limits::raise_descriptors();
    Server::new().and_then(Server::serve).map_err(|error| error.to_string())
}

impl Server {
    fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(4 * ENTRIES)
            .build(ENTRIES)?;
        let buffers = Buffers::new(&ring)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        rustix::net::listen(&listener, BACKLOG)?;
        introduce(listener.local_addr()?.port())?;
        let mut server = Self { ring, buffers, listener, peers: Vec::new() };
        server.accept()?;
        server.watch_runner()?;
        Ok(server)
    }

    fn serve(mut self) -> io::Result<()> {
        let mut completions = Vec::new();
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            completions.clear();
            completions.extend(
                self.ring.completion().map(|one| (one.user_data(), one.result(), one.flags())),
            );
            for &(data, result, flags) in &completions {
                match data {
                    RUNNER if !attend()? => return Ok(()),
                    RUNNER => self.watch_runner()?,
                    ACCEPT => self.accepted(result, flags)?,
                    _ if data & SEND != 0 => self.sent(data & !SEND, result)?,
                    peer => self.received(peer, result, flags)?,
                }
            }
        }
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: what the entry points to are buffers of the ring, which stay where they are, and
        // descriptors that are closed only when nothing is in flight on them.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    fn watch_runner(&mut self) -> io::Result<()> {
        let fd = Fd(io::stdin().as_fd().as_raw_fd());
        let readable = libc::POLLIN.unsigned_abs().into();
        self.push(&opcode::PollAdd::new(fd, readable).build().user_data(RUNNER))
    }

    fn accept(&mut self) -> io::Result<()> {
        let fd = Fd(self.listener.as_raw_fd());
        self.push(&opcode::AcceptMulti::new(fd).build().user_data(ACCEPT))
    }

    fn accepted(&mut self, result: i32, flags: u32) -> io::Result<()> {
        if let (Ok(key), Ok(index)) = (u64::try_from(result), usize::try_from(result)) {
            // SAFETY: a new descriptor that nobody else has.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
            if self.peers.len() <= index {
                self.peers.resize_with(index + 1, || None);
            }
            self.peers[index] = Some(Peer { socket, waiting: VecDeque::new(), gone: false });
            self.receive(key)?;
        }
        if cqueue::more(flags) { Ok(()) } else { self.accept() }
    }

    fn peer(&mut self, key: u64) -> Option<&mut Peer> {
        usize::try_from(key).ok().and_then(|index| self.peers.get_mut(index)?.as_mut())
    }

    fn receive(&mut self, key: u64) -> io::Result<()> {
        let Some(peer) = self.peer(key) else { return Ok(()) };
        let entry = opcode::RecvMulti::new(peer.fd(), GROUP).build().user_data(key);
        self.push(&entry)
    }

    fn received(&mut self, key: u64, result: i32, flags: u32) -> io::Result<()> {
        match (u32::try_from(result), cqueue::buffer_select(flags)) {
            (Ok(count @ 1..), Some(number)) => {
                let Some(peer) = self.peer(key) else {
                    self.buffers.give(number);
                    return Ok(());
                };
                peer.waiting.push_back((number, 0, count));
                if peer.waiting.len() == 1 {
                    self.send(key)?;
                }
                if cqueue::more(flags) { Ok(()) } else { self.receive(key) }
            }
            // No buffer was free: the ones that are being sent come back.
            _ if result == -libc::ENOBUFS => self.receive(key),
            _ => {
                self.end(key);
                Ok(())
            }
        }
    }

    /// The client has gone: what is not in flight is not sent.
    fn end(&mut self, key: u64) {
        let Some(peer) = self.peer(key) else { return };
        peer.gone = true;
        let in_flight = peer.waiting.len().min(1);
        let unsent = peer.waiting.split_off(in_flight);
        for (number, ..) in unsent {
            self.buffers.give(number);
        }
        self.forget(key);
    }

    /// Closes what has ended and has nothing in flight.
    fn forget(&mut self, key: u64) {
        let Some(index) = usize::try_from(key).ok() else { return };
        let Some(place) = self.peers.get_mut(index) else { return };
        if place.as_ref().is_some_and(|peer| peer.gone && peer.waiting.is_empty()) {
            *place = None;
        }
    }

    fn send(&mut self, key: u64) -> io::Result<()> {
        let Some(peer) = self.peer(key) else { return Ok(()) };
        let Some(&(number, sent, count)) = peer.waiting.front() else { return Ok(()) };
        let fd = peer.fd();
        let rest = self.buffers.place(number).wrapping_add(sent as usize);
        let entry = opcode::Send::new(fd, rest, count - sent).build().user_data(SEND | key);
        self.push(&entry)
    }

    fn sent(&mut self, key: u64, result: i32) -> io::Result<()> {
        let Some(peer) = self.peer(key) else { return Ok(()) };
        let gone = peer.gone;
        let Some((number, sent, count)) = peer.waiting.front_mut() else { return Ok(()) };
        *sent += u32::try_from(result).unwrap_or(*count - *sent);
        if sent == count || gone {
            let number = *number;
            peer.waiting.pop_front();
            self.buffers.give(number);
        }
        self.forget(key);
        self.send(key)
    }
}
