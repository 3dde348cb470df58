//! The lines of an unbounded text, in bounded memory.

use std::io::{BufRead, Read};

use tidelog::Error;

/// Reads lines of at most `max` bytes.
pub struct Lines<R> {
    reader: R,
    max: usize,
    buffer: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// From where `reader` stands.
    pub fn new(reader: R, max: usize) -> Lines<R> {
        Lines { reader, max, buffer: Vec::new(), number: 0, bytes: 0 }
    }

    /// The number of the line read last, from 1 on.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line, without its end; none at the end of the text.
    ///
    /// # Errors
    ///
    /// `Invalid` for what the text is, `Io` for what the source does.
    pub fn next(&mut self) -> Result<Option<&str>, Error> {
        self.buffer.clear();
        let limit = self.max as u64 + 1;
        let read = self
            .reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| Error::Io { what: format!("cannot read on after line {}", self.number), source })?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        if self.buffer.len() > self.max {
            return Err(Error::Invalid {
                what: format!(
                    "longer than {} bytes, which is what a commit may take at this --memory; split the commit or \
                     raise --memory",
                    self.max
                ),
            });
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => Ok(Some(line)),
            Err(e) => Err(Error::Invalid {
                what: format!(
                    "not UTF-8 at byte {}; bytes that are not text go into the fields that end in _base64",
                    e.valid_up_to() + 1
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], max: usize) -> Vec<Result<String, String>> {
        let mut lines = Lines::new(text, max);
        let mut all = Vec::new();
        loop {
            match lines.next() {
                Ok(None) => return all,
                Ok(Some(line)) => all.push(Ok(line.to_owned())),
                Err(e) => {
                    all.push(Err(format!("{}: {e}", lines.number())));
                    return all;
                }
            }
        }
    }

    #[test]
    fn lines_end_at_a_line_feed_or_at_the_end() {
        let line = |text: &str| Ok(text.to_owned());
        assert_eq!(all(b"a\n\nbc", 9), [line("a"), line(""), line("bc")]);
        assert_eq!(all(b"a\r\n", 9), [line("a\r")]);
        assert!(all(b"", 9).is_empty());
    }

    #[test]
    fn a_line_of_the_greatest_length_passes_and_a_longer_one_does_not() {
        assert_eq!(all(b"abc\nabc", 3), [Ok("abc".to_owned()), Ok("abc".to_owned())]);
        let refused = all(b"abc\nabcd\n", 3);
        assert!(matches!(&refused[1], Err(e) if e.starts_with("2: longer than 3 bytes")), "{refused:?}");
    }

    #[test]
    fn an_endless_line_is_refused_without_reading_it_all() {
        let mut lines = Lines::new(std::io::BufReader::new(std::io::repeat(b'x')), 1000);
        assert!(matches!(lines.next(), Err(Error::Invalid { .. })));
        assert_eq!(lines.bytes(), 1001);
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let refused = all(b"ok\nab\xff\n", 9);
        assert!(matches!(&refused[1], Err(e) if e.starts_with("2: not UTF-8 at byte 3")), "{refused:?}");
    }
}
