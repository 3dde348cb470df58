//! The history floor F: superseded entries go, oldest successor first.

use super::Step;
use crate::error::Result;
use crate::planted::{Bug, planted};
use crate::types::Cap;

/// How much is above a cap.
pub(super) struct Excess {
    entries: u64,
    bytes: u64,
    before_ms: u64,
}

impl Excess {
    pub(super) fn new(cap: &Cap, entries: u64, bytes: u64, now_ms: u64) -> Excess {
        Excess {
            entries: cap.entries.map_or(0, |cap| entries.saturating_sub(cap)),
            bytes: cap.bytes.map_or(0, |cap| bytes.saturating_sub(cap)),
            before_ms: cap.age_ms.map_or(0, |age| now_ms.saturating_sub(age)),
        }
    }

    /// Whether what came at `time_ms` has to go.
    pub(super) fn wants(&self, time_ms: u64) -> bool {
        self.entries > 0 || self.bytes > 0 || time_ms < self.before_ms
    }

    /// One went.
    pub(super) fn gone(&mut self, bytes: u64) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Step<'_, '_, '_> {
    /// Moves F over as many superseding entries as the caps demand, and drops what each of them replaced.
    pub(super) fn history(&mut self) -> Result<()> {
        let cap = self.retention.history;
        let mut excess = Excess::new(&cap, self.record.superseding, self.record.superseded_bytes, self.policy.now_ms);
        let (id, snapshot, pool) = (self.record.id, self.pool.snapshot(), self.pool);
        for meta in pool.metas(id, self.record.history_floor.saturating_add(1)) {
            let meta = meta?;
            if !excess.wants(meta.first_time_ms) {
                break;
            }
            if meta.superseding == 0 {
                continue;
            }
            if self.is_full() {
                return Ok(());
            }
            let chunk = snapshot.read_chunk(id, meta.last)?;
            self.read += chunk.encoded_len() as u64;
            for entry in chunk.iter().filter(|entry| entry.prev != 0) {
                if entry.key <= self.record.history_floor {
                    continue;
                }
                if !excess.wants(entry.time_ms) || self.is_held(entry.key, entry.time_ms, self.record.superseded_bytes)
                {
                    return Ok(());
                }
                excess.gone(entry.prev_bytes);
                self.record.superseding = self.record.superseding.saturating_sub(1);
                self.record.superseded_bytes = self.record.superseded_bytes.saturating_sub(entry.prev_bytes);
                if !planted(Bug::HistoryFloorNotMoved) {
                    (self.record.history_floor, self.record.history_floor_time_ms) = (entry.key, entry.time_ms);
                }
                if planted(Bug::NewestDropped) {
                    self.changes.delete_entity(id, entry.entity);
                }
                // A window may have dropped it before the dataset became a live one again.
                if entry.prev > self.record.window_floor {
                    self.drop_entry(entry.prev, entry.prev_bytes);
                    self.report.superseded_dropped += 1;
                }
                if self.is_full() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
