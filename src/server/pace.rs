//! Writing to clients that read: one that reads too slowly is given up, since what is under way to it is held in memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::arriving::Arriving;

/// The least that a client must read while something waits for it, and must send of a body on the whole, in bytes a
/// second.
pub const LEAST_RATE: u32 = 16 << 10;

/// A stream whose writes end with an error if the other side takes less than the least rate for a while.
pub struct Paced<S> {
    stream: Pin<Box<S>>,
    patience: Duration,
    /// While the other side keeps something waiting: until when it is watched, and what it has taken.
    behind: Option<(Pin<Box<Sleep>>, u64)>,
    arriving: Arc<Arriving>,
}

impl<S> Paced<S> {
    /// Watches the other side for `patience` at a time, and counts what comes.
    pub fn new(stream: S, patience: Duration, arriving: Arc<Arriving>) -> Paced<S> {
        Paced { stream: Box::pin(stream), patience, behind: None, arriving }
    }

    /// Notes the outcome of writing `bytes`.
    fn note(&mut self, cx: &mut Context<'_>, bytes: usize, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(taken)) if taken < bytes => {
                match &mut self.behind {
                    Some((_, all)) => *all += taken as u64,
                    // What was taken before is in the system's buffers: it tells nothing about the other side.
                    None => self.behind = Some((Box::pin(sleep(self.patience)), 0)),
                }
                wrote
            }
            Poll::Ready(_) => {
                self.behind = None;
                wrote
            }
            Poll::Pending => self.wait(cx).map(Err),
        }
    }

    /// Ready when the other side is too slow.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let patience = self.patience;
        let (until, taken) = self.behind.get_or_insert_with(|| (Box::pin(sleep(patience)), 0));
        loop {
            ready!(until.as_mut().poll(cx));
            if u128::from(*taken) < u128::from(LEAST_RATE) * patience.as_millis() / 1000 {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"));
            }
            *taken = 0;
            until.as_mut().reset(Instant::now() + patience);
        }
    }
}

impl<S: AsyncRead> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream.as_mut().poll_read(cx, buf))?;
        Poll::Ready(self.arriving.came(buf.filled().len() - before))
    }
}

impl<S: AsyncWrite> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = self.stream.as_mut().poll_write(cx, buf);
        self.note(cx, buf.len(), wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = self.stream.as_mut().poll_write_vectored(cx, bufs);
        self.note(cx, bufs.iter().map(|buf| buf.len()).sum(), wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.as_mut().poll_flush(cx) {
            // TLS holds what the other side has not taken yet.
            Poll::Pending => self.wait(cx).map(Err),
            Poll::Ready(flushed) => {
                self.behind = None;
                Poll::Ready(flushed)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.as_mut().poll_shutdown(cx) {
            Poll::Pending => self.wait(cx).map(Err),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn run<F: Future>(work: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn who_takes_one_byte_now_and_then_is_given_up() {
        run(async {
            let (ours, mut theirs) = duplex(1024);
            let reader = tokio::spawn(async move {
                let mut byte = [0];
                while theirs.read_exact(&mut byte).await.is_ok() {
                    sleep(Duration::from_millis(20)).await;
                }
            });
            let mut paced = Paced::new(ours, Duration::from_millis(300), Arc::default());
            let error = paced.write_all(&[0; 100_000]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(paced);
            reader.abort();
        });
    }

    #[test]
    fn who_takes_enough_is_waited_for_and_a_pause_between_answers_is_nothing() {
        run(async {
            let (ours, mut theirs) = duplex(4096);
            let reader = tokio::spawn(async move {
                let (mut bytes, mut all) = ([0; 4096], 0);
                while let Ok(1..) = theirs.read_exact(&mut bytes).await {
                    all += bytes.len();
                    sleep(Duration::from_millis(20)).await;
                }
                all
            });
            // About 200 kB a second: several times as long as the patience, and never too slow.
            let mut paced = Paced::new(ours, Duration::from_millis(200), Arc::default());
            paced.write_all(&[0; 40 * 4096]).await.unwrap();
            sleep(Duration::from_millis(500)).await;
            paced.write_all(&[0; 4 * 4096]).await.unwrap();
            drop(paced);
            assert_eq!(reader.await.unwrap(), 44 * 4096);
        });
    }
}
