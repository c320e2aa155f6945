//! The epoll driver: Linux readiness, level- and edge-triggered.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{self, Errno};

use super::{Driver, Event, Interest, Readiness, Token, Trigger};

/// At most this many events come out of one wait; the rest of a larger crowd
/// comes out of the next.
const MAX_EVENTS: usize = 1024;

const NANOS_PER_SEC: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;
/// Longer sleeps are cut: the loop looks at its timers and sleeps again.
const MAX_SLEEP: u64 = 24 * 3600 * NANOS_PER_SEC;

/// Where a wait puts its events.
#[derive(Default)]
pub struct EventBuffer {
    raw: Vec<epoll::Event>,
}

// SAFETY: an event's data is a union that could be a pointer; here it is always
// the integer of a packed token.
unsafe impl Send for EventBuffer {}

impl EventBuffer {
    /// The events of the last wait.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.raw.iter().map(|raw| {
            let (flags, data) = (raw.flags, raw.data);
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            let unusual = flags.intersects(EventFlags::RDHUP | EventFlags::PRI);
            let closed = broken || unusual;
            Event {
                token: Token::unpack(data.u64()),
                readiness: Readiness {
                    read: closed || flags.contains(EventFlags::IN),
                    write: broken || flags.contains(EventFlags::OUT),
                    closed,
                },
            }
        })
    }
}

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    epoll: OwnedFd,
    /// Whether `epoll_pwait2` is missing (Linux before 5.11) or forbidden.
    millis_only: AtomicBool,
}

impl Epoll {
    fn flags(interest: Interest, trigger: Trigger) -> EventFlags {
        let mut flags = match trigger {
            Trigger::Level => EventFlags::empty(),
            Trigger::Once => EventFlags::ONESHOT,
            Trigger::Edge => EventFlags::ET | EventFlags::RDHUP | EventFlags::PRI,
        };
        flags.set(EventFlags::IN, interest.read);
        flags.set(EventFlags::OUT, interest.write);
        flags
    }

    fn wait_once(&self, events: &mut EventBuffer, timeout: Option<u64>) -> io::Result<()> {
        events.raw.clear();
        events.raw.reserve(MAX_EVENTS);
        let timeout = timeout.map(timespec);
        epoll::wait(&self.epoll, spare_capacity(&mut events.raw), timeout.as_ref())?;
        Ok(())
    }
}

fn timespec(nanos: u64) -> Timespec {
    let nanos = nanos.min(MAX_SLEEP);
    Timespec {
        tv_sec: (nanos / NANOS_PER_SEC).cast_signed(),
        tv_nsec: (nanos % NANOS_PER_SEC).cast_signed(),
    }
}

/// Lends a descriptor that is not ours to a system call.
fn borrow<'fd>(fd: RawFd) -> io::Result<BorrowedFd<'fd>> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the borrow lasts for one `epoll_ctl`, which takes any number and
    // answers `EBADF` where no descriptor is behind it; it is never -1.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// `EBADF` unless `fd` is an open descriptor.
pub fn check_open(fd: RawFd) -> io::Result<()> {
    io::fcntl_getfd(borrow(fd)?).map(drop)
}

impl Driver for Epoll {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, millis_only: AtomicBool::new(false) })
    }

    fn add(&self, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        let data = EventData::new_u64(token.pack());
        epoll::add(&self.epoll, borrow(token.fd)?, data, Self::flags(interest, trigger))
    }

    fn modify(&self, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        let data = EventData::new_u64(token.pack());
        epoll::modify(&self.epoll, borrow(token.fd)?, data, Self::flags(interest, trigger))
    }

    fn remove(&self, fd: RawFd) -> io::Result<()> {
        epoll::delete(&self.epoll, borrow(fd)?)
    }

    fn wait(&self, events: &mut EventBuffer, timeout: Option<u64>) -> io::Result<()> {
        if !self.millis_only.load(Ordering::Relaxed) {
            match self.wait_once(events, timeout) {
                Err(Errno::NOSYS | Errno::PERM) => self.millis_only.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        // Whole milliseconds, upwards: late by less than one, never early.
        let whole = timeout.map(|nanos| nanos.min(MAX_SLEEP).next_multiple_of(NANOS_PER_MILLI));
        self.wait_once(events, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;
    use std::os::fd::AsRawFd;

    const READ: Interest = Interest { read: true, write: false };

    fn events_now(driver: &Epoll) -> Vec<Event> {
        let mut events = EventBuffer::default();
        driver.wait(&mut events, Some(0)).unwrap();
        events.iter().collect()
    }

    #[test]
    fn level_triggered_registration_reports_until_drained() {
        let driver = Epoll::new().unwrap();
        let (read, write) = pipe().unwrap();
        let token = Token { fd: read.as_raw_fd(), generation: 7 };
        driver.add(token, READ, Trigger::Level).unwrap();
        assert!(events_now(&driver).is_empty());
        io::write(&write, b"x").unwrap();
        for _ in 0..2 {
            let events = events_now(&driver);
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].token, token);
            assert!(events[0].readiness.read && !events[0].readiness.closed);
        }
    }

    #[test]
    fn edge_triggered_registration_reports_once_per_change() {
        let driver = Epoll::new().unwrap();
        let (read, write) = pipe().unwrap();
        let token = Token { fd: read.as_raw_fd(), generation: 1 };
        driver.add(token, READ, Trigger::Edge).unwrap();
        io::write(&write, b"x").unwrap();
        assert_eq!(events_now(&driver).len(), 1);
        assert!(events_now(&driver).is_empty());
        drop(write);
        let events = events_now(&driver);
        assert!(events[0].readiness.closed);
    }

    #[test]
    fn a_registration_that_reports_once_is_silent_until_it_is_modified() {
        let driver = Epoll::new().unwrap();
        let (read, write) = pipe().unwrap();
        let token = Token { fd: read.as_raw_fd(), generation: 1 };
        driver.add(token, READ, Trigger::Once).unwrap();
        io::write(&write, b"x").unwrap();
        assert_eq!(events_now(&driver).len(), 1);
        io::write(&write, b"y").unwrap();
        assert!(events_now(&driver).is_empty());
        driver.modify(token, READ, Trigger::Once).unwrap();
        assert_eq!(events_now(&driver).len(), 1);
        drop(write);
        assert!(events_now(&driver).is_empty());
    }

    #[test]
    fn modify_tells_that_another_file_has_the_number() {
        let driver = Epoll::new().unwrap();
        let (mut read, _write) = pipe().unwrap();
        let token = Token { fd: read.as_raw_fd(), generation: 1 };
        driver.add(token, READ, Trigger::Once).unwrap();
        let (other, _) = pipe().unwrap();
        let kept = io::dup(&read).unwrap();
        io::dup2(&other, &mut read).unwrap();
        assert_eq!(driver.modify(token, READ, Trigger::Once), Err(Errno::NOENT));
        driver.add(token, READ, Trigger::Once).unwrap();
        drop(kept);
    }

    #[test]
    fn bad_descriptors_are_errors() {
        let driver = Epoll::new().unwrap();
        let token = Token { fd: -1, generation: 0 };
        assert_eq!(driver.add(token, READ, Trigger::Level), Err(Errno::BADF));
        let token = Token { fd: 1_000_000, generation: 0 };
        assert_eq!(driver.add(token, READ, Trigger::Level), Err(Errno::BADF));
        assert_eq!(driver.remove(1_000_000), Err(Errno::BADF));
    }

    #[test]
    fn wait_does_not_return_before_its_time() {
        let driver = Epoll::new().unwrap();
        let mut events = EventBuffer::default();
        for nanos in [1, 300_000, 2_500_000] {
            for millis_only in [false, true] {
                driver.millis_only.store(millis_only, Ordering::Relaxed);
                let begin = crate::clock::Instant::now();
                driver.wait(&mut events, Some(nanos)).unwrap();
                assert!(crate::clock::Instant::now().nanos_since(begin) >= nanos);
            }
        }
    }
}
