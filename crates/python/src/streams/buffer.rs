//! A reader's buffer, which Python code may look at.
//!
//! `reader._buffer` is a private name that programs and tests read, and change. So the
//! bytes lie in Rust memory until somebody asks for them: then they move to a
//! bytearray, which is used from then on. Once that is empty and nobody else holds it,
//! bytes lie in Rust memory again. What comes while somebody waits for just that may lie in the
//! `bytes` object that he gets, from its first part on; if he is gone, or more comes first, it is
//! read as everything is.
//!
//! Invariant: no borrow lasts across anything that may run Python code.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use batuta_engine::bytes::ByteQueue;
use batuta_engine::heap::expect_large_blocks;

use crate::ffi::buffer::PartialBytes;
use crate::ffi::{Obj, PyResult, Raised, Visitor};

/// Where the bytes lie.
#[derive(Debug)]
enum Place {
    Own(ByteQueue),
    /// The first part of the `bytes` object that somebody waits for: all there is.
    Partial(PartialBytes),
    /// One `bytes` object: all there is.
    Whole(Obj),
    /// A bytearray.
    Python(Obj),
}

impl Default for Place {
    fn default() -> Self {
        Self::Own(ByteQueue::default())
    }
}

/// What has been received and not been read.
#[derive(Debug, Default)]
pub struct Buffer(RefCell<Place>);

impl Buffer {
    /// The bytearray, if it is in use.
    fn python(&self) -> Option<Obj> {
        match &*self.0.borrow() {
            Place::Python(array) => Some(array.clone()),
            Place::Own(_) | Place::Partial(_) | Place::Whole(_) => None,
        }
    }

    /// Whether the bytes lie in a bytearray.
    pub fn is_shown(&self) -> bool {
        matches!(&*self.0.borrow(), Place::Python(_))
    }

    /// Looks at the bytes. `look` runs no Python code.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        match &*self.0.borrow() {
            Place::Own(bytes) => look(bytes.as_slice()),
            Place::Partial(bytes) => look(bytes.as_slice()),
            Place::Whole(bytes) => look(bytes.bytes_content()),
            Place::Python(array) => array.with_bytearray(look),
        }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.with(<[u8]>::len)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes back to Rust memory if nobody would notice.
    #[cold]
    fn return_if_unseen(&self) {
        let Some(array) = self.python() else { return };
        // One reference is ours, one is this function's.
        let unseen = array.is_exact_bytearray() && array.reference_count() == 2;
        if unseen && array.with_bytearray(<[u8]>::is_empty) {
            self.clear();
        }
    }

    /// Whether there is nothing, nor a bytearray that somebody holds, so that what comes may be
    /// [put in](Self::put) as a whole. A bytearray that is empty and unseen goes.
    #[inline]
    pub fn is_vacant(&self) -> bool {
        if self.is_shown() {
            self.return_if_unseen();
        }
        matches!(&*self.0.borrow(), Place::Own(bytes) if bytes.is_empty())
    }

    /// Puts a `bytes` object into a vacant buffer.
    #[inline]
    pub fn put(&self, bytes: Obj) {
        debug_assert!(self.is_vacant() && bytes.is_exact_bytes());
        self.0.replace(Place::Whole(bytes));
    }

    /// Has `fill` write to the front of what is missing of a `bytes` object of `count` bytes that
    /// somebody waits for, behind what there is already, and say how many bytes it has written;
    /// unless there are as many, or the bytes lie in a bytearray that somebody holds. `fill` runs
    /// no Python code.
    pub fn fill_whole<E>(
        &self,
        count: usize,
        fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
    ) -> PyResult<Option<Result<(), E>>> {
        if !self.begin_whole(count)? {
            return Ok(None);
        }
        let mut place = self.0.borrow_mut();
        let Place::Partial(bytes) = &mut *place else { return Ok(None) };
        let filled = bytes.fill(fill);
        if bytes.is_full() || bytes.as_slice().is_empty() {
            let former = std::mem::take(&mut *place);
            if let Place::Partial(bytes) = former
                && bytes.is_full()
            {
                *place = Place::Whole(bytes.finish()?);
            }
        }
        Ok(Some(filled))
    }

    /// Whether the bytes lie, from now on at the latest, in the first part of an object of `count`
    /// bytes.
    #[inline]
    fn begin_whole(&self, count: usize) -> PyResult<bool> {
        if matches!(&*self.0.borrow(), Place::Partial(bytes) if bytes.capacity() == count) {
            return Ok(true);
        }
        self.take_apart();
        self.return_if_unseen();
        if self.is_shown() || self.len() >= count {
            return Ok(false);
        }
        expect_large_blocks();
        let mut whole = PartialBytes::new(count)?;
        self.with(|bytes| whole.append(bytes));
        self.0.replace(Place::Partial(whole));
        Ok(true)
    }

    /// Has bytes lie in the queue, to which others can be added.
    #[cold]
    fn take_apart(&self) {
        let mut place = self.0.borrow_mut();
        let bytes = match &*place {
            Place::Partial(bytes) => bytes.as_slice(),
            Place::Whole(bytes) => bytes.bytes_content(),
            Place::Own(_) | Place::Python(_) => return,
        };
        let mut queue = ByteQueue::default();
        queue.append(bytes);
        *place = Place::Own(queue);
    }

    /// Adds bytes at the end. A bytearray that is exported cannot grow: `BufferError`.
    #[inline]
    pub fn append(&self, data: &[u8]) -> PyResult<()> {
        if let Place::Own(bytes) = &mut *self.0.borrow_mut() {
            bytes.append(data);
            return Ok(());
        }
        self.append_elsewhere(data)
    }

    #[cold]
    fn append_elsewhere(&self, data: &[u8]) -> PyResult<()> {
        self.take_apart();
        self.return_if_unseen();
        match self.python() {
            Some(array) => array.bytearray_append(data),
            None => self.append(data),
        }
    }

    /// Makes room for `count` bytes in all, which are expected.
    #[inline]
    pub fn reserve(&self, count: usize) {
        if let Place::Own(bytes) = &mut *self.0.borrow_mut() {
            bytes.reserve(count);
        }
    }

    /// Has `fill` add bytes at the end of a vector that has room for `room` of them,
    /// unless the bytes lie in a bytearray. `fill` runs no Python code.
    pub fn append_with<R>(&self, room: usize, fill: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        self.take_apart();
        self.return_if_unseen();
        match &mut *self.0.borrow_mut() {
            Place::Own(bytes) => Some(bytes.append_with(room, fill)),
            Place::Partial(_) | Place::Whole(_) | Place::Python(_) => None,
        }
    }

    /// Takes `count` bytes from the front, or all if there are fewer, as `bytes`.
    #[inline]
    pub fn take(&self, count: usize) -> PyResult<Obj> {
        if let Some(whole) = self.take_whole(count) {
            return Ok(whole);
        }
        let taken = self.with(|bytes| Obj::bytes(bytes.get(..count).unwrap_or(bytes)))?;
        self.consume(count)?;
        Ok(taken)
    }

    /// Takes the one object that there is, if it is not longer than `count`.
    #[inline]
    fn take_whole(&self, count: usize) -> Option<Obj> {
        let mut place = self.0.borrow_mut();
        match &*place {
            Place::Whole(bytes) if bytes.bytes_content().len() <= count => {}
            _ => return None,
        }
        match std::mem::take(&mut *place) {
            Place::Whole(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Takes all bytes.
    pub fn take_all(&self) -> PyResult<Obj> {
        self.take(usize::MAX)
    }

    /// Takes `count` bytes from the front away, or all if there are fewer.
    #[inline]
    pub fn consume(&self, count: usize) -> PyResult<()> {
        if let Place::Own(bytes) = &mut *self.0.borrow_mut() {
            bytes.consume(count);
            return Ok(());
        }
        self.consume_elsewhere(count)
    }

    #[cold]
    fn consume_elsewhere(&self, count: usize) -> PyResult<()> {
        if self.take_whole(count).is_some() {
            return Ok(());
        }
        if !self.is_shown() {
            self.take_apart();
            return self.consume(count);
        }
        if let Some(array) = self.python() {
            array.delete_front(count.min(self.len()))?;
        }
        self.return_if_unseen();
        Ok(())
    }

    /// The bytearray that Python code sees from now on.
    pub fn show(&self) -> PyResult<Obj> {
        if let Some(array) = self.python() {
            return Ok(array);
        }
        let array = self.with(Obj::bytearray)?;
        let former = self.0.replace(Place::Python(array.clone()));
        drop(former);
        Ok(array)
    }

    /// Uses this bytearray.
    pub fn replace(&self, array: &Obj) -> PyResult<()> {
        if !array.is_bytearray() {
            let found = array.type_name();
            return Err(Raised::type_error(&format!(
                "the buffer of a StreamReader must be a bytearray, not '{found}'"
            )));
        }
        let former = self.0.replace(Place::Python(array.clone()));
        drop(former);
        Ok(())
    }

    /// Shows the bytearray to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(place) = self.0.try_borrow()
            && let Place::Python(array) = &*place
        {
            visitor.obj(array);
        }
    }

    /// Lets go of everything.
    pub fn clear(&self) {
        let former = self.0.take();
        drop(former);
    }
}
