//! Reading what takes memory, within what is there for all.

use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::gates;
use super::problem::Problem;
use crate::{Engine, Entry};

/// About what an entry takes in an answer besides its names and its payload, in bytes.
const ENTRY_BYTES: usize = 160;

/// The leave to hold what was read until it is sent.
#[derive(Debug)]
pub struct Leave {
    /// About how many bytes it takes.
    pub weight: usize,
    /// For its memory.
    pub page: OwnedSemaphorePermit,
    /// For a read from the start.
    pub full_sync: Option<OwnedSemaphorePermit>,
}

/// Reads under leave for about `bytes`. What proves larger is let go of, and read again under leave for as much as it
/// takes: whatever is asked for, all that is held at once stays within the memory for pages.
///
/// # Errors
///
/// Those of the gates; those of the read stand inside, with its leave.
pub async fn read<T: Send + 'static>(
    app: &App,
    bytes: usize,
    work: impl Fn(&Engine) -> crate::Result<T> + Clone + Send + 'static,
    weigh: impl Fn(&T) -> usize,
) -> Result<(crate::Result<T>, Leave), Problem> {
    let mut bytes = bytes.clamp(1, app.gates.most_page_bytes());
    loop {
        let page = app.gates.page(bytes).await?;
        let work = work.clone();
        let found = app.run(move |engine| Ok(work(engine))).await?;
        let weight = found.as_ref().map_or(0, &weigh);
        if weight <= bytes || bytes == app.gates.most_page_bytes() {
            let full_sync = None;
            return Ok((found, Leave { weight, page: gates::fit(page, weight), full_sync }));
        }
        drop(found);
        drop(page);
        // A little more, for what may have come meanwhile.
        bytes = (weight + weight / 8).min(app.gates.most_page_bytes());
    }
}

/// About how many bytes these entries take in an answer.
pub fn weigh<'a>(dataset: &[u8], entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    let weigh = |entry: &Entry| {
        let payload = entry.payload.as_ref().map_or(0, |payload| payload.len() + payload.len() / 3);
        ENTRY_BYTES + dataset.len() + entry.entity.len() + payload
    };
    ENTRY_BYTES + entries.into_iter().map(weigh).sum::<usize>()
}
