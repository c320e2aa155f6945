//! Fetching objects into the processor's caches before they are looked at.
//!
//! Only a hint: it changes nothing but time.

use std::ptr::NonNull;

/// A line of the caches, in bytes.
const LINE: usize = 64;

/// The collector's header stands before the object.
const HEADER: usize = 16;

/// Has the first `size` bytes of the object at an address fetched, and the header before it.
#[inline]
pub fn object(address: NonNull<()>, size: usize) {
    let start = address.as_ptr().cast::<u8>().wrapping_sub(HEADER);
    for offset in (0..size + HEADER).step_by(LINE) {
        line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: any address may be named: what cannot be fetched is not.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_address: *const u8) {}
