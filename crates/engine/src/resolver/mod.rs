//! The system's resolver, asked in threads of our own.
//!
//! Role: [`ask`] hands a [`Query`] to a thread; the [`Answer`] comes into the [`Mailbox`] of the
//! loop that asked, under the number that it gave, and the mailbox's descriptor reports an
//! edge (see [`crate::waker`]).
//!
//! Ownership: a query under way owns a share of its mailbox, so a loop may be gone before the
//! answer comes; nobody reads it then.
//!
//! Threads: one is started when a query finds none idle, up to [`MOST_THREADS`]; one that has
//! had nothing to do for [`PATIENCE`] ends. They touch nothing but what is here, and wait for
//! nobody at the end of the process. A forked child has none of them: it makes a pool of its
//! own.

mod lookup;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::waker::Waker;

pub use lookup::{Answer, Failure, Found, Query};

/// As many as asyncio's default executor has at most.
const MOST_THREADS: usize = 32;

/// How long a thread waits for work.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the answers for one loop arrive.
#[derive(Debug)]
pub struct Mailbox {
    waker: Waker,
    answers: Mutex<Vec<(u64, Answer)>>,
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> rustix::io::Result<Self> {
        Ok(Self { waker: Waker::new()?, answers: Mutex::default() })
    }

    /// The answers that have arrived, with the numbers of their queries.
    pub fn take(&self) -> Vec<(u64, Answer)> {
        self.waker.noticed();
        std::mem::take(&mut *locked(&self.answers))
    }

    fn put(&self, number: u64, answer: Answer) {
        locked(&self.answers).push((number, answer));
        self.waker.wake();
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// A lock whose data is whole after a panic, too: each change is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Job {
    query: Query,
    number: u64,
    mailbox: Arc<Mailbox>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// The threads of one process.
#[derive(Debug)]
struct Pool {
    process: u32,
    state: Mutex<State>,
    work: Condvar,
}

static POOL: Mutex<Option<Arc<Pool>>> = Mutex::new(None);

/// The pool of this process.
fn pool() -> Arc<Pool> {
    let process = std::process::id();
    let mut place = locked(&POOL);
    if let Some(pool) = &*place
        && pool.process == process
    {
        return pool.clone();
    }
    let fresh = Arc::new(Pool { process, state: Mutex::default(), work: Condvar::new() });
    // The parent's stays as it is: one of its threads may have held its lock at the fork.
    std::mem::forget(place.replace(fresh.clone()));
    fresh
}

/// Asks the resolver; `mailbox` gets the answer. Called by one thread of the process at a time,
/// which is the only one that forks.
///
/// # Errors
/// There is no thread, and none can be started.
pub fn ask(query: Query, number: u64, mailbox: &Arc<Mailbox>) -> io::Result<()> {
    let pool = pool();
    let mut state = locked(&pool.state);
    if state.idle <= state.jobs.len() && state.threads < MOST_THREADS {
        let own = pool.clone();
        let started = thread::Builder::new()
            .name("batuta-resolver".to_owned())
            .spawn(move || own.work_until_idle());
        match started {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads == 0 => return Err(error),
            Err(_) => {}
        }
    }
    state.jobs.push_back(Job { query, number, mailbox: mailbox.clone() });
    drop(state);
    pool.work.notify_one();
    Ok(())
}

impl Pool {
    /// What a thread does.
    fn work_until_idle(&self) {
        while let Some(Job { query, number, mailbox }) = self.next() {
            mailbox.put(number, query.look_up());
        }
    }

    /// The next job; nothing if there was none for a long time, which ends the thread.
    fn next(&self) -> Option<Job> {
        let mut state = locked(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let (after, waited) =
                self.work.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::net::SocketAddr;

    use std::os::fd::AsRawFd;

    use crate::driver::{Driver, Epoll, EventBuffer, Interest, Token, Trigger};

    use super::*;

    fn query(host: &str, flags: i32) -> Query {
        Query {
            host: Some(CString::new(host).unwrap()),
            service: Some(CString::new("80").unwrap()),
            family: 0,
            kind: i32::try_from(rustix::net::SocketType::STREAM.as_raw()).unwrap(),
            protocol: 0,
            flags,
        }
    }

    fn wait(mailbox: &Mailbox, count: usize) -> Vec<(u64, Answer)> {
        let (driver, mut events) = (Epoll::new().unwrap(), EventBuffer::default());
        let token = Token { fd: mailbox.as_fd().as_raw_fd(), generation: 0 };
        driver.add(token, Interest { read: true, write: false }, Trigger::Edge).unwrap();
        let mut answers = Vec::new();
        while answers.len() < count {
            driver.wait(&mut events, None).unwrap();
            answers.extend(mailbox.take());
        }
        answers
    }

    #[test]
    fn answers_come_under_their_numbers() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        for number in 0..100 {
            ask(query(&format!("127.0.0.{number}"), 0), number, &mailbox).unwrap();
        }
        let mut answers = wait(&mailbox, 100);
        answers.sort_by_key(|(number, _)| *number);
        for (number, answer) in answers {
            let found = answer.unwrap();
            let expected: SocketAddr = format!("127.0.0.{number}:80").parse().unwrap();
            assert_eq!(found.iter().map(|one| one.address).collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn what_cannot_be_resolved_is_a_failure_with_words() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        ask(query("no such host!", 0), 7, &mailbox).unwrap();
        let answers = wait(&mailbox, 1);
        let [(7, Err(Failure::Resolver { code, text }))] = answers.as_slice() else {
            panic!("{answers:?}");
        };
        assert_ne!(*code, 0);
        assert!(!text.is_empty());
    }

    #[test]
    fn nobody_need_be_there_for_the_answer() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        let left = Arc::downgrade(&mailbox);
        ask(query("127.0.0.1", 0), 1, &mailbox).unwrap();
        drop(mailbox);
        while left.strong_count() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
