//! What a transport could not send yet.
//!
//! Owns the chunks in order. Immutable `bytes` objects are held, with an offset;
//! anything that could change is copied when it comes in.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::ffi::Obj;

/// At most this many chunks leave in one system call.
const MAX_SLICES: usize = 64;

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

    /// The next bytes to send, in order.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.chunks.iter().take(MAX_SLICES).map(|chunk| IoSlice::new(chunk.rest())).collect()
    }

    /// Forgets the first `count` bytes: they are sent.
    pub fn consume(&mut self, mut count: usize) {
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
