//! Where in a dataset a moment lies.

use super::super::pin::{Dataset, Pin};
use crate::error::Result;

/// The position after everything committed before `time_ms`, as far as is still known: where entries are gone, the
/// floors tell up to where they had been.
pub(super) fn position_at(pin: &Pin<'_>, dataset: &Dataset, time_ms: u64) -> Result<u64> {
    for tail in pin.tails.oldest_first().rev() {
        let inner = tail.read();
        let Some(part) = inner.datasets.get(&dataset.id) else { continue };
        let due = part.between(0, pin.visible);
        let before = due.partition_point(|entry| inner.frames[entry.frame as usize].time_ms < time_ms);
        if let Some(entry) = before.checked_sub(1).and_then(|last| due.get(last)) {
            return Ok(entry.key);
        }
        if part.created.is_some() {
            return Ok(0);
        }
    }
    let record = dataset.record();
    if record.created_ms >= time_ms {
        return Ok(0);
    }
    let floor = if record.floor_time_ms < time_ms { record.floor } else { 0 };
    let history_floor = if record.history_floor_time_ms < time_ms { record.history_floor } else { 0 };
    Ok(sealed_before(pin, dataset, time_ms)?.max(floor).max(history_floor).max(dataset.id))
}

/// The newest sealed key committed before `time_ms`; 0 if there is none.
fn sealed_before(pin: &Pin<'_>, dataset: &Dataset, time_ms: u64) -> Result<u64> {
    let record = dataset.record();
    if record.head_time_ms < time_ms {
        return Ok(record.head);
    }
    // Commit times never run backwards, so chunks are in order of time too: find the first that ends late enough.
    let (mut low, mut high) = (0, record.head);
    while low < high {
        let middle = low + (high - low) / 2;
        match pin.meta_covering(dataset, middle)? {
            Some(meta) if meta.last_time_ms < time_ms => low = meta.last + 1,
            Some(meta) => high = middle.min(meta.first.max(low)),
            None => break,
        }
    }
    if let Some(chunk) = pin.chunk_covering(dataset, low)?
        && let Some(row) = chunk.iter().take_while(|row| row.time_ms < time_ms).last()
    {
        return Ok(row.key);
    }
    Ok(pin.snapshot().meta_before(dataset.id, low)?.map_or(0, |meta| meta.last))
}
