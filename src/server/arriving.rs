//! What has come of a socket's message that is not whole yet. The buffer that it lies in stays as large as the largest
//! message, so the leave for it is kept as long as the connection.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::app::App;
use super::held::Held;

/// The error of a connection whose message finds no memory.
pub const NO_ROOM: &str = "there is no memory for a message of this size now";

/// What arrives on a connection; counted from when it has become a socket.
#[derive(Debug, Default)]
pub struct Arriving(Mutex<Option<Counted>>);

#[derive(Debug)]
struct Counted {
    app: Arc<App>,
    bytes: usize,
    held: Held,
}

impl Arriving {
    /// The connection is a socket from here on.
    pub fn begin(&self, app: &Arc<App>) {
        *self.0.lock() = Some(Counted { app: Arc::clone(app), bytes: 0, held: Held::for_waits() });
    }

    /// So many bytes have come.
    ///
    /// # Errors
    ///
    /// [`NO_ROOM`].
    pub fn came(&self, bytes: usize) -> io::Result<()> {
        let mut arriving = self.0.lock();
        let Some(Counted { app, bytes: all, held }) = &mut *arriving else { return Ok(()) };
        *all += bytes;
        held.more(app, all.saturating_sub(held.bytes())).map_err(|_| io::Error::other(NO_ROOM))
    }

    /// So many of them were no part of the message that is to come: another message, or a sign of life.
    pub fn taken(&self, bytes: usize) {
        if let Some(counted) = &mut *self.0.lock() {
            counted.bytes = counted.bytes.saturating_sub(bytes);
        }
    }
}
