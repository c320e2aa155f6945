//! What is sent: an endless byte stream that repeats a fixed set of distinct messages.
//!
//! All connections share the one copy; each starts at another message, so that bytes of a wrong
//! connection, lost, doubled or swapped messages do not compare equal. Every message is printable
//! and ends with its only newline: the same stream serves servers that read lines and servers that
//! read sizes.

/// Distinct messages are added up to this many bytes, unless the window itself needs more.
const TEMPLATE_BYTES: usize = 1 << 20;

pub struct Messages {
    size: usize,
    /// Length of the repeated part.
    period: usize,
    /// Bytes that can always be taken in one slice, from any place in the period.
    longest: usize,
    /// The repeated part and the beginning of its repetition, `period + longest` bytes.
    bytes: Vec<u8>,
}

impl Messages {
    pub fn new(size: usize, in_flight: usize, connections: usize) -> Self {
        let affordable = (TEMPLATE_BYTES / size).max(1);
        let distinct = (in_flight + 1).max(connections.min(affordable));
        let period = size * distinct;
        let longest = size * in_flight;
        let mut random = Xorshift(0x9E37_79B9_7F4A_7C15);
        let mut bytes: Vec<u8> = (0..period)
            .map(|place| if (place + 1) % size == 0 { b'\n' } else { random.letter() })
            .collect();
        // The window is at least one message shorter than the period.
        bytes.extend_from_within(..longest);
        Self { size, period, longest, bytes }
    }

    /// Where the stream of a connection begins.
    pub fn start(&self, connection: usize) -> u64 {
        (connection * self.size % self.period) as u64
    }

    /// Up to `wanted` bytes of the stream from `position` on; shorter only past the longest slice.
    pub fn slice(&self, position: u64, wanted: u64) -> &[u8] {
        let from = usize::try_from(position % self.period as u64).unwrap_or(0);
        let length = usize::try_from(wanted).unwrap_or(self.longest).min(self.longest);
        &self.bytes[from..from + length]
    }

    /// Whether `received` is what the stream holds from `position` on.
    pub fn matches(&self, mut position: u64, mut received: &[u8]) -> bool {
        while !received.is_empty() {
            let expected = self.slice(position, received.len() as u64);
            if received[..expected.len()] != *expected {
                return false;
            }
            position += expected.len() as u64;
            received = &received[expected.len()..];
        }
        true
    }
}

struct Xorshift(u64);

impl Xorshift {
    fn letter(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // 64 printable characters from '0' on: never a newline.
        b'0' + u8::try_from(self.0 >> 58).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_ends_with_its_only_newline() {
        let messages = Messages::new(5, 3, 10);
        for message in messages.bytes.chunks(5) {
            assert_eq!(message.iter().position(|&byte| byte == b'\n'), Some(4));
        }
    }

    #[test]
    fn the_stream_continues_over_the_end_of_the_period() {
        let messages = Messages::new(4, 2, 3);
        let stream: Vec<u8> = messages.bytes[..messages.period].repeat(3);
        for position in 0..messages.period as u64 * 2 {
            let from = usize::try_from(position).unwrap();
            assert_eq!(messages.slice(position, 8), &stream[from..from + 8]);
        }
        assert_eq!(messages.slice(0, 1000).len(), 8);
        assert!(messages.matches(3, &stream[3..]));
    }

    #[test]
    fn wrong_bytes_do_not_match() {
        let messages = Messages::new(64, 1, 10);
        let own = messages.slice(messages.start(3), 64).to_vec();
        assert!(messages.matches(messages.start(3), &own));
        assert!(!messages.matches(messages.start(4), &own), "another connection's message");
        assert!(!messages.matches(messages.start(3) + 64, &own), "a message sent before");
        let mut damaged = own;
        damaged[63] ^= 1;
        assert!(!messages.matches(messages.start(3), &damaged));
    }

    #[test]
    fn big_messages_keep_the_template_small() {
        let messages = Messages::new(100 << 10, 1, 1000);
        assert!(messages.bytes.len() <= 2 << 20);
    }
}
