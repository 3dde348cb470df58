//! `Keep::Window`: everything at or below the floor goes, newest or not.

use super::Step;
use super::history::Excess;
use crate::error::Result;
use crate::types::Op;

impl Step<'_, '_, '_> {
    /// Moves all floors over as many entries as the caps demand.
    pub(super) fn window(&mut self) -> Result<()> {
        let cap = self.retention.history;
        let mut excess = Excess::new(&cap, self.record.entries, self.record.bytes, self.policy.now_ms);
        let (id, snapshot, pool) = (self.record.id, self.pool.snapshot(), self.pool);
        for meta in pool.metas(id, self.record.window_floor.saturating_add(1)) {
            let meta = meta?;
            if !excess.wants(meta.first_time_ms) {
                break;
            }
            // Not before something was dropped: the next step begins where this one does.
            if self.dead.len() > 0 && self.is_full() {
                return Ok(());
            }
            let chunk = snapshot.read_chunk(id, meta.last)?;
            self.read += chunk.encoded_len() as u64;
            for entry in chunk.iter() {
                if entry.key <= self.record.window_floor {
                    continue;
                }
                let mark = snapshot.mark(id, entry.key)?;
                // What was dropped before the dataset became a window is not there to be dropped again, and moves nothing.
                if self.record.has_dropped(entry.key, entry.op, mark) {
                    continue;
                }
                if !excess.wants(entry.time_ms) || self.is_held(entry.key, entry.time_ms, self.record.bytes) {
                    return Ok(());
                }
                let bytes = entry.bytes();
                if entry.prev != 0 && entry.key > self.record.history_floor {
                    self.record.superseding = self.record.superseding.saturating_sub(1);
                    self.record.superseded_bytes = self.record.superseded_bytes.saturating_sub(entry.prev_bytes);
                }
                if entry.op == Op::Delete && mark.is_none() {
                    self.record.tombstones = self.record.tombstones.saturating_sub(1);
                    self.record.tombstone_bytes = self.record.tombstone_bytes.saturating_sub(bytes);
                }
                self.raise_floor(entry.key, entry.time_ms);
                self.record.window_floor = entry.key;
                excess.gone(bytes);
                self.drop_entry(entry.key, bytes);
                self.report.window_dropped += 1;
                if mark.is_none() {
                    self.changes.delete_entity(id, entry.entity);
                }
                if self.is_full() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
