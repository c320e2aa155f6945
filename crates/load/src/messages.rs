//! What is sent: an endless byte stream that repeats a fixed set of distinct messages.
//!
//! All connections share the one copy; each starts at another message, so that bytes of a wrong
//! connection, lost, doubled or swapped messages do not compare equal. Every message is printable
//! and ends with its only newline: the same stream serves servers that read lines and servers that
//! read sizes. A frame around each message, where the protocol has one, may differ in requests and
//! replies.

/// Distinct messages are added up to this many bytes, unless the window itself needs more.
const TEMPLATE_BYTES: usize = 1 << 20;

/// One direction's stream.
struct Template {
    /// Bytes of one message with its frame.
    size: usize,
    /// Length of the repeated part.
    period: usize,
    /// Bytes that can always be taken in one slice, from any place in the period.
    longest: usize,
    /// The repeated part and the beginning of its repetition, `period + longest` bytes.
    bytes: Vec<u8>,
}

pub struct Messages {
    requests: Template,
    /// None where replies are the requests, byte by byte.
    replies: Option<Template>,
    distinct: usize,
}

impl Messages {
    pub fn new(size: usize, in_flight: usize, connections: usize) -> Self {
        let affordable = (TEMPLATE_BYTES / size).max(1);
        // The window is at least one message shorter than the period.
        let distinct = (in_flight + 1).max(connections.min(affordable));
        Self { requests: Template::new(&[], size, distinct, in_flight), replies: None, distinct }
    }

    /// The same with these bytes before each message of a request and of a reply.
    pub fn framed(
        size: usize,
        in_flight: usize,
        connections: usize,
        request: &[u8],
        reply: &[u8],
    ) -> Self {
        let plain = Self::new(size, in_flight, connections);
        let distinct = plain.distinct;
        Self {
            requests: Template::new(request, size, distinct, in_flight),
            replies: Some(Template::new(reply, size, distinct, in_flight)),
            distinct,
        }
    }

    /// One and the same request for ever; its replies are somebody else's to check.
    pub fn fixed(request: &[u8]) -> Self {
        let requests = Template {
            size: request.len(),
            period: request.len(),
            longest: request.len(),
            bytes: request.repeat(2),
        };
        Self { requests, replies: None, distinct: 1 }
    }

    pub fn request_size(&self) -> u64 {
        self.requests.size as u64
    }

    pub fn reply_size(&self) -> u64 {
        self.replies.as_ref().unwrap_or(&self.requests).size as u64
    }

    /// With which message a connection begins.
    pub fn start(&self, connection: usize) -> u64 {
        (connection % self.distinct) as u64
    }

    /// Up to `wanted` bytes of the requests from `position` on; shorter only past the longest
    /// slice.
    pub fn slice(&self, start: u64, position: u64, wanted: u64) -> &[u8] {
        self.requests.slice(start * self.request_size() + position, wanted)
    }

    /// Whether `received` is what the replies hold from `position` on.
    pub fn matches(&self, start: u64, position: u64, mut received: &[u8]) -> bool {
        let replies = self.replies.as_ref().unwrap_or(&self.requests);
        let mut position = start * self.reply_size() + position;
        while !received.is_empty() {
            let expected = replies.slice(position, received.len() as u64);
            if received[..expected.len()] != *expected {
                return false;
            }
            position += expected.len() as u64;
            received = &received[expected.len()..];
        }
        true
    }
}

impl Template {
    fn new(frame: &[u8], payload: usize, distinct: usize, in_flight: usize) -> Self {
        let size = frame.len() + payload;
        // The same letters in both directions, whatever their frames.
        let mut random = Xorshift(0x9E37_79B9_7F4A_7C15);
        let mut bytes = Vec::with_capacity(size * (distinct + in_flight));
        for _ in 0..distinct {
            bytes.extend_from_slice(frame);
            bytes.extend((1..payload).map(|_| random.letter()));
            bytes.push(b'\n');
        }
        let (period, longest) = (size * distinct, size * in_flight);
        bytes.extend_from_within(..longest);
        Self { size, period, longest, bytes }
    }

    fn slice(&self, position: u64, wanted: u64) -> &[u8] {
        let from = usize::try_from(position % self.period as u64).unwrap_or(0);
        let length = usize::try_from(wanted).unwrap_or(self.longest).min(self.longest);
        &self.bytes[from..from + length]
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
        for message in messages.requests.bytes.chunks(5) {
            assert_eq!(message.iter().position(|&byte| byte == b'\n'), Some(4));
        }
    }

    #[test]
    fn the_stream_continues_over_the_end_of_the_period() {
        let messages = Messages::new(4, 2, 3);
        let stream: Vec<u8> = messages.requests.bytes[..messages.requests.period].repeat(3);
        for position in 0..messages.requests.period as u64 * 2 {
            let from = usize::try_from(position).unwrap();
            assert_eq!(messages.slice(0, position, 8), &stream[from..from + 8]);
        }
        assert_eq!(messages.slice(0, 0, 1000).len(), 8);
        assert!(messages.matches(0, 3, &stream[3..]));
    }

    #[test]
    fn wrong_bytes_do_not_match() {
        let messages = Messages::new(64, 1, 10);
        let own = messages.slice(messages.start(3), 0, 64).to_vec();
        assert!(messages.matches(messages.start(3), 0, &own));
        assert!(!messages.matches(messages.start(4), 0, &own), "another connection's message");
        assert!(!messages.matches(messages.start(3), 64, &own), "a message sent before");
        let mut damaged = own;
        damaged[63] ^= 1;
        assert!(!messages.matches(messages.start(3), 0, &damaged));
    }

    #[test]
    fn framed_replies_are_the_same_messages_in_other_frames() {
        let messages = Messages::framed(8, 2, 3, b">>>", b"<");
        assert_eq!((messages.request_size(), messages.reply_size()), (11, 9));
        let request = messages.slice(1, 0, 22);
        let reply = [b"<", &request[3..11], b"<", &request[14..]].concat();
        assert!(messages.matches(1, 0, &reply));
        assert!(messages.matches(1, 9, &reply[9..]));
        assert!(!messages.matches(1, 0, request));
    }

    #[test]
    fn big_messages_keep_the_template_small() {
        let messages = Messages::new(100 << 10, 1, 1000);
        assert!(messages.requests.bytes.len() <= 2 << 20);
    }
}
