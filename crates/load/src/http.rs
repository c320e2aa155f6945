//! Reads the answers of an HTTP/1.1 server: just enough to know where each one ends, and that it
//! is what was asked for.

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// An answer with a longer head is not one of ours.
const LONGEST_HEAD: usize = 16 << 10;

pub struct Answers {
    head: Vec<u8>,
    /// None while the head is read.
    body_left: Option<usize>,
    size: usize,
}

impl Answers {
    /// For answers whose body has `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { head: Vec::with_capacity(1024), body_left: None, size }
    }

    /// How many answers end in these bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<u64, String> {
        let mut finished = 0;
        while !bytes.is_empty() {
            if self.body_left.is_none() {
                // The end may lie across two reads: look from shortly before the new part.
                let from = self.head.len().saturating_sub(END_OF_HEAD.len() - 1);
                let known = self.head.len();
                self.head.extend_from_slice(bytes);
                let Some(end) =
                    self.head[from..].windows(END_OF_HEAD.len()).position(|one| one == END_OF_HEAD)
                else {
                    if self.head.len() > LONGEST_HEAD {
                        return Err("an answer's head does not end".into());
                    }
                    return Ok(finished);
                };
                let end = from + end + END_OF_HEAD.len();
                self.check(end)?;
                bytes = &bytes[end - known..];
                self.head.clear();
                self.body_left = Some(self.size);
            }
            if let Some(left) = &mut self.body_left {
                let taken = bytes.len().min(*left);
                *left -= taken;
                bytes = &bytes[taken..];
                if *left == 0 {
                    self.body_left = None;
                    finished += 1;
                }
            }
        }
        Ok(finished)
    }

    fn check(&self, end: usize) -> Result<(), String> {
        let head = String::from_utf8_lossy(&self.head[..end]);
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("200") {
            return Err(format!("the server answered {status:?}"));
        }
        let length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok());
        if length != Some(self.size) {
            return Err(format!("the server answered with {length:?} bytes, not {}", self.size));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nabc";

    #[test]
    fn answers_are_counted_however_they_are_cut() {
        let three = ANSWER.repeat(3);
        for step in 1..=three.len() {
            let mut answers = Answers::new(3);
            let found: u64 = three.chunks(step).map(|part| answers.feed(part).unwrap()).sum();
            assert_eq!(found, 3, "{step}");
        }
    }

    #[test]
    fn another_status_or_length_is_refused() {
        let refusal = |answer: &[u8]| Answers::new(3).feed(answer).unwrap_err();
        assert!(refusal(b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\n").contains("500"));
        assert!(refusal(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").contains("Some(4)"));
        assert!(refusal(b"HTTP/1.1 200 OK\r\n\r\n").contains("None"));
        assert!(refusal(&vec![b'x'; LONGEST_HEAD + 1]).contains("does not end"));
    }
}
