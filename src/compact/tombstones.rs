//! The tombstone floor: deletes that nothing replaced go, oldest first.

use super::Step;
use super::history::Excess;
use crate::error::Result;
use crate::types::Op;

impl Step<'_, '_, '_> {
    /// Moves `floor` over as many tombstones as the caps demand.
    ///
    /// A tombstone goes only when no older version of its entity remains. Every entry at or below F has lost its
    /// predecessor, so the walk ends where superseding entries begin that F has not passed; above F, up to there, F moves
    /// along, over nothing that anyone could still read.
    pub(super) fn tombstones(&mut self) -> Result<()> {
        let cap = self.retention.tombstones;
        let mut excess = Excess::new(&cap, self.record.tombstones, self.record.tombstone_bytes, self.policy.now_ms);
        let (id, snapshot, pool) = (self.record.id, self.pool.snapshot(), self.pool);
        for meta in pool.metas(id, self.record.floor.saturating_add(1)) {
            let meta = meta?;
            if self.record.tombstones == 0 || !excess.wants(meta.first_time_ms) {
                break;
            }
            let has_history = meta.last > self.record.history_floor && meta.superseding > 0;
            if meta.deletes == 0 && !has_history {
                continue;
            }
            // Not before something was dropped: the next step begins where this one does.
            if self.dead.len() > 0 && self.is_full() {
                return Ok(());
            }
            let chunk = snapshot.read_chunk(id, meta.last)?;
            self.read += chunk.encoded_len() as u64;
            for entry in chunk.iter() {
                if entry.key > self.record.history_floor && entry.prev != 0 {
                    return Ok(());
                }
                let is_due = entry.op == Op::Delete && entry.key > self.record.floor;
                if !is_due || snapshot.mark(id, entry.key)?.is_some() {
                    continue;
                }
                if !excess.wants(entry.time_ms) || self.is_held(entry.key, entry.time_ms, self.record.tombstone_bytes) {
                    return Ok(());
                }
                let bytes = entry.bytes();
                excess.gone(bytes);
                self.record.tombstones = self.record.tombstones.saturating_sub(1);
                self.record.tombstone_bytes = self.record.tombstone_bytes.saturating_sub(bytes);
                self.raise_floor(entry.key, entry.time_ms);
                self.drop_entry(entry.key, bytes);
                self.changes.delete_entity(id, entry.entity);
                self.report.tombstones_dropped += 1;
                if self.is_full() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
