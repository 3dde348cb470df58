//! A source that may keep silent for long: a thread of its own waits for it, so that a signal need not.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tidelog::Error;

use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;

/// Bytes that are read at once, at most.
const BLOCK: usize = 64 << 10;
/// How often a silent source is left to look for a signal.
const LOOK: Duration = Duration::from_millis(100);

/// What comes from the source, in blocks. After a signal the text ends, be it within a line: look for the signal before
/// using what was read.
pub struct Piped {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    used: usize,
    ended: bool,
    interrupt: Interrupt,
}

impl Piped {
    /// Begins to read. The thread ends with the source, or with the process.
    pub fn new(source: impl Read + Send + 'static, interrupt: &Interrupt) -> Outcome<Piped> {
        let (sender, blocks) = sync_channel(1);
        std::thread::Builder::new()
            .name("tidelog-input".to_owned())
            .spawn(move || read(source, &sender))
            .map_err(|source| Failure::Engine(Error::Io { what: "cannot start a thread".to_owned(), source }))?;
        Ok(Piped { blocks, block: Vec::new(), used: 0, ended: false, interrupt: interrupt.clone() })
    }
}

/// The end is an empty block: without one, something went wrong.
fn read(mut source: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK];
        let read = match source.read(&mut block) {
            Ok(len) => {
                block.truncate(len);
                Ok(block)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.as_ref().map_or(true, Vec::is_empty);
        if to.send(read).is_err() || is_last {
            return;
        }
    }
}

impl BufRead for Piped {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.used == self.block.len() && !self.ended && !self.interrupt.came() {
            match self.blocks.recv_timeout(LOOK) {
                Ok(block) => {
                    (self.block, self.used) = (block?, 0);
                    self.ended = self.block.is_empty();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the thread that reads it ended")),
            }
        }
        Ok(&self.block[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for Piped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
