//! Searching for the end of a message.

use memchr::{memchr, memmem};

/// Where a separator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

#[inline]
fn find_one(haystack: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        [byte] => memchr(*byte, haystack),
        _ => memmem::find(haystack, separator),
    }
}

/// Of all separators in `haystack[offset..]` the one that ends first; of those that end
/// at the same byte the one that comes first in `separators`.
#[inline]
pub fn find_first<S: AsRef<[u8]>>(
    haystack: &[u8],
    offset: usize,
    separators: &[S],
) -> Option<Match> {
    let mut rest = haystack.get(offset..)?;
    let mut found: Option<Match> = None;
    for separator in separators {
        let separator = separator.as_ref();
        if let Some(place) = find_one(rest, separator) {
            let (start, end) = (offset + place, offset + place + separator.len());
            found = Some(Match { start, end });
            // What is to come must end earlier.
            rest = haystack.get(offset..end.saturating_sub(1)).unwrap_or_default();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_and_a_longer_separator_are_found_behind_the_offset() {
        let found = |start, end| Some(Match { start, end });
        assert_eq!(find_first(b"ab\ncd\n", 0, &[b"\n"]), found(2, 3));
        assert_eq!(find_first(b"ab\ncd\n", 3, &[b"\n"]), found(5, 6));
        assert_eq!(find_first(b"ab\r\ncd", 0, &[b"\r\n"]), found(2, 4));
        assert_eq!(find_first(b"ab\r\ncd", 3, &[b"\r\n"]), None);
        assert_eq!(find_first(b"ab", 2, &[b"\n"]), None);
        assert_eq!(find_first(b"ab", 3, &[b"\n"]), None);
    }

    #[test]
    fn the_separator_that_ends_first_wins() {
        let find = |haystack: &[u8], separators: &[&[u8]]| find_first(haystack, 0, separators);
        assert_eq!(find(b"xx--yy;", &[b";", b"--"]), Some(Match { start: 2, end: 4 }));
        assert_eq!(find(b"xx;yy--", &[b";", b"--"]), Some(Match { start: 2, end: 3 }));
        // Both end at the same byte: the shorter one, which comes first, stays.
        assert_eq!(find(b"xx-;", &[b";", b"-;"]), Some(Match { start: 3, end: 4 }));
        assert_eq!(find(b"xx", &[b";", b"-;"]), None);
    }
}
