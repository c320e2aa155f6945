//! What a transport could not send yet.
//!
//! Owns the chunks in order. Immutable `bytes` objects are held, with an offset;
//! anything that could change is copied when it comes in.

use std::collections::VecDeque;
use std::io::IoSlice;

use rustix::io::Errno;

use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, PyResult, Raised};

/// At most this many chunks leave in one system call.
const MAX_SLICES: usize = 64;

/// After this many bytes somebody else has a turn, even if a fast reader makes
/// room for more all the time.
const MAX_DRAIN: usize = 1024 * 1024;

/// How far the buffer could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Nothing waits any more.
    Empty,
    /// The descriptor takes no more: an edge will tell when it does.
    Full,
    /// There may be room, but others come first.
    Enough,
}

/// `write()` and its kin take `bytes`, `bytearray` and `memoryview` only, which the message calls
/// by the words in `kinds`.
pub fn require_bytes_like(data: &Obj, kinds: &str) -> PyResult<()> {
    if data.is_exact_bytes() || data.is_bytes_like() {
        return Ok(());
    }
    Err(Raised::type_error(&format!(
        "data argument must be a {kinds} object, not '{}'",
        data.type_name()
    )))
}

#[derive(Debug)]
enum Data {
    /// An exact `bytes` object.
    Bytes(Obj),
    /// A copy of something mutable.
    Copy(Vec<u8>),
}

#[derive(Debug)]
struct Chunk {
    data: Data,
    sent: usize,
}

impl Chunk {
    fn rest(&self) -> &[u8] {
        let all = match &self.data {
            Data::Bytes(bytes) => bytes.bytes_content(),
            Data::Copy(copy) => copy,
        };
        all.get(self.sent..).unwrap_or_default()
    }
}

/// The pieces that `writelines()` is given, each with a look at its content:
/// either all of them can be sent or nothing is.
pub fn pieces(lines: Vec<Obj>) -> PyResult<Vec<(Obj, Buffer)>> {
    let piece = |data: Obj| {
        let content = Buffer::readable(&data)?;
        Ok((data, content))
    };
    lines.into_iter().map(piece).collect()
}

/// Chunks that wait to be sent.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    chunks: VecDeque<Chunk>,
    len: usize,
}

impl WriteBuffer {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends what follows the first `sent` bytes of `data`, whose content now
    /// is `content`.
    pub fn push(&mut self, data: &Obj, content: &[u8], sent: usize) {
        let rest = content.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        self.len += rest.len();
        self.chunks.push_back(if data.is_exact_bytes() {
            Chunk { data: Data::Bytes(data.clone()), sent }
        } else {
            Chunk { data: Data::Copy(rest.to_vec()), sent: 0 }
        });
    }

    /// Sends what waits, by `send`, which takes slices and says how much of them
    /// went.
    pub fn drain(
        &mut self,
        mut send: impl FnMut(&[IoSlice<'_>]) -> Result<usize, Errno>,
    ) -> Result<Drained, Errno> {
        let mut sent = 0;
        while !self.is_empty() {
            if sent >= MAX_DRAIN {
                return Ok(Drained::Enough);
            }
            let outcome = match self.chunks.front() {
                // Mostly there is one, for which no list need be made.
                Some(chunk) if self.chunks.len() == 1 => send(&[IoSlice::new(chunk.rest())]),
                _ => send(&self.slices()),
            };
            match outcome {
                Ok(0) | Err(Errno::WOULDBLOCK) => return Ok(Drained::Full),
                Ok(count) => {
                    self.consume(count);
                    sent += count;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Drained::Empty)
    }

    /// The next bytes to send, in order.
    fn slices(&self) -> Vec<IoSlice<'_>> {
        self.chunks.iter().take(MAX_SLICES).map(|chunk| IoSlice::new(chunk.rest())).collect()
    }

    /// Forgets the first `count` bytes: they are sent.
    fn consume(&mut self, mut count: usize) {
        self.len = self.len.saturating_sub(count);
        while let Some(front) = self.chunks.front_mut() {
            let rest = front.rest().len();
            if count < rest {
                front.sent += count;
                return;
            }
            count -= rest;
            self.chunks.pop_front();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
