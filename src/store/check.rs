//! Verification: reads everything, changes nothing, and reports whatever is wrong instead of stopping there.

mod compare;
mod dataset;
mod walk;

use super::families::Family;
use super::keys;
use super::pool::Pool;
use super::record::{ConsumerRecord, DatasetRecord, IdempotencyRecord};
use super::rows::Position;
use super::snapshot::{Snapshot, parse_id};
use crate::codec::Malformed;
use crate::error::{Error, Name, Result};
use crate::meta;
use crate::types::Finding;
use dataset::Dataset;
use walk::ChunkWalk;

/// What a verification looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Datasets.
    pub datasets: u64,
    /// Chunks decoded.
    pub chunks: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes of rows and chunks read.
    pub bytes: u64,
}

/// Where findings go.
pub type Report<'r> = dyn FnMut(Finding) + 'r;

impl Snapshot<'_> {
    /// Checks every row of every column family, with checksums, and everything that says the same in two places.
    pub fn verify(&self, report: &mut Report<'_>) -> Checked {
        let mut checked = Checked::default();
        self.check_rows(Family::Datasets, &mut checked, report, |row, value| self.check_dataset_row(row, value));
        self.check_rows(Family::Meta, &mut checked, report, |row, value| self.check_meta_row(row, value));
        for family in Family::BY_DATASET {
            self.check_owners(family, report);
        }
        let (pool, mut chunks) = (Pool::new(self), ChunkWalk::new(self));
        let (from, to) = keys::records_range(0);
        let mut at = Position::new(self, Family::Datasets, Some((from, to)));
        at.seek_first();
        // What cannot be read was reported above.
        while let Ok(Some((row, value))) = at.row() {
            if keys::parse_record(row).is_ok()
                && let Ok(record) = meta::decode::<DatasetRecord>(value)
            {
                Dataset::new(&pool, &record).check(&mut chunks, &mut checked, report);
            }
            at.next();
        }
        checked
    }

    /// Hands every row of a column family to `check`, and reports what it says. A damaged block ends the walk: what
    /// lies behind it in the same column family cannot be told apart from it.
    fn check_rows(
        &self,
        family: Family,
        checked: &mut Checked,
        report: &mut Report<'_>,
        mut check: impl FnMut(&[u8], &[u8]) -> Result<Result<(), Malformed>>,
    ) {
        let mut at = Position::new(self, family, None);
        at.seek_first();
        loop {
            let outcome = match at.row() {
                Ok(None) => return,
                Ok(Some((row, value))) => {
                    checked.bytes += (row.len() + value.len()) as u64;
                    check(row, value).map(|verdict| verdict.map_err(|what| self.store.malformed(family, row, what)))
                }
                Err(error) => {
                    report(finding(&error, None));
                    return;
                }
            };
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) | Err(error) => report(finding(&error, None)),
            }
            at.next();
        }
    }

    fn check_dataset_row(&self, row: &[u8], value: &[u8]) -> Result<Result<(), Malformed>> {
        if let Ok(name) = keys::parse_name(row) {
            let Ok(id) = parse_id(value) else { return Ok(Err(Malformed("a dataset's id is not 8 bytes long"))) };
            return Ok(match self.record(id)? {
                Some(record) if record.name == name => Ok(()),
                Some(_) => Err(Malformed("a name means a dataset of another name")),
                None => Err(Malformed("a name means a dataset that has no record")),
            });
        }
        let record = keys::parse_record(row).and_then(|id| Ok((id, meta::decode::<DatasetRecord>(value)?)));
        let (id, record) = match record {
            Ok(record) => record,
            Err(malformed) => return Ok(Err(malformed)),
        };
        if record.id != id {
            return Ok(Err(Malformed("a dataset's record names another id")));
        }
        if record.floor > record.history_floor {
            return Ok(Err(Malformed("a dataset's floor is above its history floor")));
        }
        if record.window_floor > record.floor {
            return Ok(Err(Malformed("a dataset's window floor is above its floor")));
        }
        Ok(match self.name(&record.name)? {
            Some(owner) if owner == id => Ok(()),
            _ => Err(Malformed("a dataset's name does not mean it")),
        })
    }

    fn check_meta_row(&self, row: &[u8], value: &[u8]) -> Result<Result<(), Malformed>> {
        const UNPAIRED: Malformed = Malformed("the row that belongs to it is missing or another");
        let paired = |holds: bool| if holds { Ok(()) } else { Err(UNPAIRED) };
        if row == keys::FORMAT || row == keys::APPLIED {
            return Ok(Ok(())); // read when the store was opened
        }
        if let Ok((id, name)) = keys::parse_consumer(row) {
            if let Err(malformed) = meta::decode::<ConsumerRecord>(value) {
                return Ok(Err(malformed));
            }
            let listed = self.get(Family::Meta, &keys::consumer_name(name, id))?.is_some();
            return Ok(paired(listed && self.record(id)?.is_some()));
        }
        if let Ok((name, id)) = keys::parse_consumer_name(row) {
            return Ok(paired(self.consumer(id, &name)?.is_some()));
        }
        if let Ok(id) = keys::parse_idempotency(row) {
            return Ok(match meta::decode::<IdempotencyRecord>(value) {
                Ok(record) => paired(self.get(Family::Meta, &keys::expiry(record.time_ms, id))?.is_some()),
                Err(malformed) => Err(malformed),
            });
        }
        if let Ok((_, id)) = keys::parse_expiry(row) {
            return Ok(paired(self.idempotency(id)?.is_some()));
        }
        if let Ok((due_ms, id)) = keys::parse_due(row) {
            return Ok(paired(self.record(id)?.is_some_and(|record| record.due_ms == due_ms)));
        }
        Ok(match keys::parse_work(row) {
            Ok(id) => paired(self.record(id)?.is_some()),
            Err(_) => Err(Malformed("it is of no known kind")),
        })
    }

    /// Reports ids that have rows, but no record: one seek for each dataset.
    fn check_owners(&self, family: Family, report: &mut Report<'_>) {
        let mut at = Position::new(self, family, None);
        at.seek_first();
        loop {
            let id = match at.row() {
                Ok(None) => return,
                Ok(Some((row, _))) => match row.first_chunk() {
                    Some(id) => u64::from_be_bytes(*id),
                    None => {
                        let what = Malformed("a row key has no dataset's id");
                        report(finding(&self.store.malformed(family, row, what), None));
                        return;
                    }
                },
                // Reported where the dataset itself is checked.
                Err(_) => return,
            };
            match self.record(id) {
                Ok(Some(_)) => {}
                Ok(None) => report(Finding {
                    file: Some(self.store.dir().to_path_buf()),
                    offset: None,
                    dataset: None,
                    key: Some(id),
                    what: format!("'{}' has rows of dataset id {id}, which has no record", family.name()),
                }),
                Err(error) => report(finding(&error, None)),
            }
            at.seek(&keys::dataset_range(id).1);
            if id == u64::MAX {
                return;
            }
        }
    }
}

/// An error as a finding.
fn finding(error: &Error, dataset: Option<&DatasetRecord>) -> Finding {
    let dataset = dataset.map(|record| record.name.clone());
    match error {
        Error::Damaged { file, offset, what } => {
            Finding { file: Some(file.clone()), offset: *offset, dataset, key: None, what: what.clone() }
        }
        other => Finding { file: None, offset: None, dataset, key: None, what: other.to_string() },
    }
}

/// Something that is wrong with a dataset as a whole or at one key.
fn disagreement(snapshot: &Snapshot<'_>, record: &DatasetRecord, key: Option<u64>, what: String) -> Finding {
    Finding {
        file: Some(snapshot.store.dir().to_path_buf()),
        offset: None,
        dataset: Some(record.name.clone()),
        key,
        what: format!("dataset '{}' (id {}): {what}", Name(&record.name), record.id),
    }
}
