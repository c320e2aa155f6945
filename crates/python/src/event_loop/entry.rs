//! [`Entry`]: what is ready to run, in the two words that it takes in the queue.
//!
//! Two words travel in registers, from whoever pushes an entry into the queue and from there to
//! whoever runs it. The enum [`Ready`], which is what everybody else sees, travels through
//! memory: it would be written piece by piece and read back as a whole, which a processor cannot
//! do without waiting for the pieces, several times for each entry.
//!
//! Layout: the first word is an address whose three lowest bits say what the entry is; the second
//! one is another address, or nothing, or a number. What does not fit, and does not come often,
//! stands behind one address.
//!
//! Ownership: an entry owns what its words point to.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use batuta_engine::driver::{Event, Readiness, Token};

use crate::combine::Observer;
use crate::ffi::{Obj, Py, Rooted, prefetch};
use crate::handle::HasCore;

use super::ready::Ready;

/// The bits of the first word that say what the entry is: addresses are multiples of eight.
const TAG: usize = (1 << TAG_BITS) - 1;
const TAG_BITS: u32 = 3;

const HANDLE: usize = 0;
const STEP: usize = 1;
const WAKEUP: usize = 2;
const TIMER: usize = 3;
const IO: usize = 4;
#[cfg(Py_3_14)]
const THREAD_SAFE: usize = 5;
/// The lowest bits of the second word say which [`Observer`] it is.
const OBSERVER: usize = 6;
/// Behind the address is a [`Ready`].
const BOXED: usize = 7;

/// So many bytes of an object are fetched ahead: a handle's fields.
const LOOKED_AT: usize = 208;

const _: () = assert!(usize::BITS >= u64::BITS, "a token is a word");

/// An event of a transport's descriptor, in two words.
#[derive(Clone, Copy, Debug)]
pub struct IoEvent {
    token: usize,
    readiness: usize,
}

impl IoEvent {
    const READ: usize = 1;
    const WRITE: usize = 2;
    const CLOSED: usize = 4;

    /// Whose event it is.
    #[inline]
    pub fn token(self) -> Token {
        Token::unpack(self.token as u64)
    }

    /// What it says.
    #[inline]
    pub fn readiness(self) -> Readiness {
        let has = |bit| self.readiness & bit != 0;
        Readiness { read: has(Self::READ), write: has(Self::WRITE), closed: has(Self::CLOSED) }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a word is wide enough: see above")]
#[inline]
fn word(token: Token) -> usize {
    token.pack() as usize
}

impl From<Event> for IoEvent {
    #[inline]
    fn from(Event { token, readiness }: Event) -> Self {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        Self {
            token: word(token),
            readiness: bit(readiness.read, Self::READ)
                | bit(readiness.write, Self::WRITE)
                | bit(readiness.closed, Self::CLOSED),
        }
    }
}

/// A [`Ready`] in two words.
#[derive(Debug)]
pub struct Entry {
    first: NonNull<()>,
    second: *mut (),
}

impl Entry {
    #[inline]
    fn new(tag: usize, first: NonNull<()>, second: *mut ()) -> Self {
        debug_assert_eq!(first.addr().get() & TAG, 0, "addresses are multiples of eight");
        Self { first: first.map_addr(|address| address | tag), second }
    }

    #[inline]
    fn of_object(tag: usize, object: Obj, second: *mut ()) -> Self {
        Self::new(tag, object.into_address(), second)
    }

    /// The first word without its tag.
    #[inline]
    fn address(&self) -> NonNull<()> {
        let untagged = self.first.as_ptr().map_addr(|address| address & !TAG);
        // SAFETY: made of an address that was not null, by setting bits that it had not.
        unsafe { NonNull::new_unchecked(untagged) }
    }

    /// What the words say.
    ///
    /// # Safety
    /// The caller gives up either `self` or the result without dropping it.
    #[inline]
    unsafe fn read(&self) -> Ready {
        let bits = self.first.addr().get();
        // SAFETY: the tag tells what `from` has put there; the caller sees to it that what the
        // words own has one owner. A boxed entry is not read here by reference: see `look_at`.
        unsafe {
            match bits & TAG {
                HANDLE => Ready::Handle(Rooted::from_address(self.address())),
                STEP => Ready::Step(
                    Py::from_address(self.address()),
                    NonNull::new(self.second).map(|exception| Obj::from_address(exception)),
                ),
                WAKEUP => Ready::Wakeup(
                    Py::from_address(self.address()),
                    Obj::from_address(NonNull::new_unchecked(self.second)),
                ),
                TIMER => Ready::Timer(Rooted::from_address(self.address())),
                #[cfg(Py_3_14)]
                THREAD_SAFE => Ready::ThreadSafe(Rooted::from_address(self.address())),
                IO => Ready::Io(IoEvent { token: self.second.addr(), readiness: bits >> TAG_BITS }),
                OBSERVER => {
                    let second = self.second.addr();
                    let future = self.second.map_addr(|address| address & !TAG);
                    Ready::Observer(
                        Observer::from_parts(second & TAG, Obj::from_address(self.address())),
                        Obj::from_address(NonNull::new_unchecked(future)),
                    )
                }
                _ => *Box::from_raw(self.address().cast::<Ready>().as_ptr()),
            }
        }
    }

    /// Has what will be looked at first fetched into the caches.
    #[inline]
    pub fn prefetch(&self) {
        if self.first.addr().get() & TAG != IO {
            prefetch::object(self.address(), LOOKED_AT);
        }
    }

    /// Has what a handle holds fetched; the handle itself should be there by now.
    #[inline]
    pub fn prefetch_held(&self) {
        self.look_at(|ready| match ready {
            Ready::Handle(handle) => handle.core().prefetch(),
            Ready::Timer(timer) => timer.core().prefetch(),
            #[cfg(Py_3_14)]
            Ready::ThreadSafe(handle) => handle.core().prefetch(),
            _ => {}
        });
    }

    /// Shows what it is to `body`.
    pub fn look_at<R>(&self, body: impl FnOnce(&Ready) -> R) -> R {
        if self.first.addr().get() & TAG == BOXED {
            // SAFETY: a boxed entry is owned by `self`, which is borrowed.
            return body(unsafe { self.address().cast::<Ready>().as_ref() });
        }
        // SAFETY: the copy is not dropped.
        let ready = ManuallyDrop::new(unsafe { self.read() });
        body(&ready)
    }
}

impl Drop for Entry {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` is given up.
        drop(unsafe { self.read() });
    }
}

impl From<Ready> for Entry {
    #[expect(clippy::inline_always, reason = "the words stay in registers only so")]
    #[inline(always)]
    fn from(ready: Ready) -> Self {
        match ready {
            Ready::Handle(handle) => Self::new(HANDLE, handle.into_address(), ptr::null_mut()),
            Ready::Timer(timer) => Self::new(TIMER, timer.into_address(), ptr::null_mut()),
            Ready::Step(task, exception) => {
                let exception =
                    exception.map_or(ptr::null_mut(), |given| given.into_address().as_ptr());
                Self::of_object(STEP, task.into_obj(), exception)
            }
            Ready::Wakeup(task, future) => {
                Self::of_object(WAKEUP, task.into_obj(), future.into_address().as_ptr())
            }
            #[cfg(Py_3_14)]
            Ready::ThreadSafe(handle) => {
                Self::new(THREAD_SAFE, handle.into_address(), ptr::null_mut())
            }
            Ready::Io(event) => {
                let bits = event.readiness << TAG_BITS | IO;
                // SAFETY: the tag is not zero.
                let first = unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(bits)) };
                Self { first, second: ptr::without_provenance_mut(event.token) }
            }
            Ready::Observer(observer, future) => {
                let (kind, observer) = observer.into_parts();
                let future = future.into_address().as_ptr().map_addr(|address| address | kind);
                Self::of_object(OBSERVER, observer, future)
            }
            boxed @ (Ready::TaskStep(_) | Ready::Alarm(_) | Ready::Foreign(_)) => {
                let address = NonNull::from(Box::leak(Box::new(boxed)));
                Self::new(BOXED, address.cast(), ptr::null_mut())
            }
        }
    }
}

impl From<Entry> for Ready {
    #[expect(clippy::inline_always, reason = "the words stay in registers only so")]
    #[inline(always)]
    fn from(entry: Entry) -> Self {
        let entry = ManuallyDrop::new(entry);
        // SAFETY: the entry is given up.
        unsafe { entry.read() }
    }
}
