//! The end of the server, told to everybody who waits.

use tokio::sync::watch;

/// Tells everybody who waits that the server is about to stop.
#[derive(Debug, Clone)]
pub struct Closing(watch::Sender<bool>);

impl Default for Closing {
    fn default() -> Closing {
        Closing(watch::Sender::new(false))
    }
}

impl Closing {
    /// From now on.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has begun.
    pub fn begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it begins.
    pub async fn wait(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|closing| *closing).await;
    }
}
