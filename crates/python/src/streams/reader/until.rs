//! Where a message ends: `readuntil()` and `readline()`.

use std::cell::Cell;

use batuta_engine::search::{Match, find_first};

use crate::ffi::buffer::Buffer as View;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::lookups::Lookups;
use super::super::raise2;
use super::NativeStreamReader;

/// What a message ends with, the shortest first.
#[derive(Debug)]
pub enum Separators {
    /// `b"\n"`
    Newline,
    /// Any, none of them empty.
    Some(Vec<Vec<u8>>),
}

/// What is found in the buffer.
pub enum Found {
    /// The bytes of a message, up to here.
    End(usize),
    /// A message longer than the limit, whose separator starts here.
    TooLong(usize),
    /// No end, and more bytes than the limit in front of one that may come.
    Overrun(usize),
    /// No end yet: it is not in front of this place.
    NotYet(usize),
}

impl Separators {
    /// Whether `readuntil()` was given what programs give: bytes, or a tuple of them.
    pub fn are_plain(separator: &Obj) -> bool {
        let is_plain = |one: &Obj| one.is_exact_bytes() || one.is_exact_bytearray();
        is_plain(separator)
            || (cfg!(Py_3_13)
                && separator.is_tuple()
                && (0..).map_while(|index| separator.tuple_item(index)).all(|one| is_plain(&one)))
    }

    /// What `readuntil()` was given.
    pub fn from_python(separator: &Obj) -> PyResult<Self> {
        let mut list = Vec::new();
        if cfg!(Py_3_13) && separator.is_tuple() {
            for one in separator.collect()? {
                list.push(bytes_of(&one)?);
            }
            list.sort_by_key(Vec::len);
        } else {
            list.push(bytes_of(separator)?);
        }
        match list.first() {
            None => Err(Raised::value_error("Separator should contain at least one element")),
            Some(shortest) if shortest.is_empty() => {
                Err(Raised::value_error("Separator should be at least one-byte string"))
            }
            Some(_) => Ok(Self::Some(list)),
        }
    }

    fn lengths(&self) -> (usize, usize) {
        match self {
            Self::Newline => (1, 1),
            Self::Some(list) => (list.first().map_or(1, Vec::len), list.last().map_or(1, Vec::len)),
        }
    }

    fn find(&self, bytes: &[u8], offset: usize) -> Option<Match> {
        match self {
            Self::Newline => find_first(bytes, offset, &[b"\n"]),
            Self::Some(list) => find_first(bytes, offset, list),
        }
    }

    /// Looks for the end of the first message in `bytes`, which is not in front of
    /// `offset`. `most` is the limit of a message, its separator not counted.
    #[inline]
    pub fn look(&self, bytes: &[u8], offset: usize, most: usize) -> Found {
        let (shortest, longest) = self.lengths();
        if bytes.len().saturating_sub(offset) < shortest {
            return Found::NotYet(offset);
        }
        if let Some(found) = self.find(bytes, offset) {
            return if found.start > most {
                Found::TooLong(found.start)
            } else {
                Found::End(found.end)
            };
        }
        let offset = (bytes.len() + 1).saturating_sub(longest);
        if offset > most { Found::Overrun(offset) } else { Found::NotYet(offset) }
    }
}

/// What is given is of these kinds only: see [`Separators::are_plain`].
fn bytes_of(separator: &Obj) -> PyResult<Vec<u8>> {
    if separator.is_exact_bytes() {
        return Ok(separator.bytes_content().to_vec());
    }
    Ok(View::readable(separator)?.as_slice().to_vec())
}

impl Py<NativeStreamReader> {
    /// Looks for the end of the first message; `offset` is where the search begins, and
    /// where the next one will.
    #[inline]
    pub fn look(&self, separators: &Separators, offset: &Cell<usize>) -> Found {
        let most = self.most.get();
        let found = self.buffer.with(|bytes| separators.look(bytes, offset.get(), most));
        if let Found::NotYet(searched) = found {
            offset.set(searched);
        }
        found
    }

    /// A line was too long: it goes, or all there is if its end has not come.
    #[cold]
    pub fn drop_line(&self, consumed: usize) -> PyResult<()> {
        let newline = self.buffer.with(|bytes| bytes.get(consumed) == Some(&b'\n'));
        let gone = if newline { consumed.saturating_add(1) } else { usize::MAX };
        self.buffer.consume(gone)?;
        self.maybe_resume_transport()
    }
}

/// What is said of a message whose separator is there.
pub const TOO_LONG: &str = "Separator is found, but chunk is longer than limit";
/// What is said of a message whose separator is not there.
pub const OVERRUN: &str = "Separator is not found, and chunk exceed the limit";

/// `raise LimitOverrunError(message, consumed)`
#[cold]
pub fn overrun(message: &str, consumed: usize) -> Raised {
    let made = Obj::str(message).and_then(|message| Ok((message, Obj::size(consumed)?)));
    match made {
        Ok((message, consumed)) => raise2(&Lookups::get().limit_overrun, &message, &consumed),
        Err(raised) => raised,
    }
}
