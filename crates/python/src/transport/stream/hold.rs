//! Writes that are kept for a moment, to leave together.
//!
//! Role: decides which write may wait, and for what: for the end of the call of
//! the protocol in which it happens (the second and later small ones), or, with
//! `loop.coalesce_writes`, for the end of the loop's turn (small ones of tasks
//! and callbacks). Whatever looks at the state of the transport from outside, or
//! goes on to something that does not pass through the buffer, sends them first
//! ([`uncork`](Py::uncork)).

use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::endpoint::{Phase, Transport};
use super::StreamTransport;

/// What is held back leaves once there are more than this many bytes.
const LIMIT: usize = 16 * 1024;

/// Whether writes are held back for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cork {
    /// No.
    Off,
    /// The protocol is being called and has not written yet.
    Ready,
    /// It has written once: what follows may wait for the end of the call.
    Wrote,
    /// Something waits for the end of the call.
    Holding,
    /// Something waits for the end of the turn: the loop knows.
    Turn,
}

impl Py<StreamTransport> {
    /// Runs a call of the protocol that may write; what it wrote behind its first
    /// write leaves together afterwards.
    #[inline]
    pub(super) fn corked(&self, call: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
        if self.cork.get() == Cork::Turn {
            return call(); // What it writes waits behind what waits.
        }
        self.cork.set(Cork::Ready);
        let result = call();
        match self.cork.get() {
            Cork::Holding => {
                self.cork.set(Cork::Off);
                let exception = result.map_err(Raised::take);
                let flushed = self.flush_corked();
                return exception.map_err(Raised::restore).and(flushed);
            }
            Cork::Turn => {}
            Cork::Off | Cork::Ready | Cork::Wrote => self.cork.set(Cork::Off),
        }
        result
    }

    /// Whether a write of so many bytes is to wait, behind `waiting` bytes that do,
    /// though the socket has room; takes note of it.
    #[inline]
    pub(super) fn holds(&self, waiting: usize, count: usize) -> bool {
        let small = waiting + count <= LIMIT.min(self.endpoint.flow.high());
        match self.cork.get() {
            Cork::Off => small && self.hold_for_turn(),
            Cork::Ready => {
                self.cork.set(Cork::Wrote);
                false
            }
            Cork::Wrote if small => {
                self.cork.set(Cork::Holding);
                true
            }
            Cork::Wrote | Cork::Holding | Cork::Turn => small,
        }
    }

    fn hold_for_turn(&self) -> bool {
        let event_loop = self.endpoint.event_loop.borrow();
        let Some(event_loop) = event_loop.as_ref().filter(|event_loop| event_loop.may_hold())
        else {
            return false;
        };
        self.cork.set(Cork::Turn);
        event_loop.hold(self);
        true
    }

    /// The end of the turn.
    pub fn send_held(&self) -> PyResult<()> {
        if self.cork.get() != Cork::Turn {
            return Ok(()); // It has left already.
        }
        self.cork.set(Cork::Off);
        self.endpoint.in_context(|| self.flush_corked())
    }

    /// Sends what is held back.
    fn flush_corked(&self) -> PyResult<()> {
        if self.blocked.get() || self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        self.flush_or_wait()?;
        if self.endpoint.phase() == Phase::Closing && self.buffered() == 0 {
            return self.schedule_lost(&Obj::none());
        }
        self.buffer_grew()?;
        self.flushed()
    }

    /// Sends what is held back, before something that does not go through the
    /// buffer, or asks what is in it.
    pub(super) fn uncork(&self) -> PyResult<()> {
        match self.cork.get() {
            Cork::Off | Cork::Ready | Cork::Wrote => return Ok(()),
            Cork::Holding | Cork::Turn => self.cork.set(Cork::Off),
        }
        if self.blocked.get() || self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        self.flush_or_wait()
    }
}
