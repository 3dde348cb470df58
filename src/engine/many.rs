//! Many datasets in one answer, under one budget.

use super::changes::page;
use super::core::Core;
use super::pin::Pin;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::limits::MAX_DATASETS_PER_CALL;
use crate::types::{DatasetChanges, Limits, ManyPage, Page, SyncKey};

/// The changes of each dataset asked for, beginning with the one at index `first`.
pub fn changes_many(core: &Core, request: &[(&[u8], Cursor)], first: usize, limits: Limits) -> Result<ManyPage> {
    if request.len() > MAX_DATASETS_PER_CALL {
        return Err(Error::invalid(format!(
            "{} datasets in one call, at most {MAX_DATASETS_PER_CALL} are allowed",
            request.len()
        )));
    }
    let mut trusting = true;
    'moment: loop {
        let store = core.store();
        let pin = if trusting { Pin::trusting(core, &store) } else { Pin::new(core, &store) };
        let mut datasets: Vec<DatasetChanges> = request.iter().map(|_| DatasetChanges::NotReached).collect();
        let (mut entries_left, mut bytes_left, mut scan_left) = (limits.max_entries, limits.max_bytes, limits.max_scan);
        let mut any = false;
        let mut next_index = 0;
        let begin = if request.is_empty() { 0 } else { first % request.len() };
        for step in 0..request.len() {
            let index = (begin + step) % request.len();
            next_index = index;
            if entries_left == 0 || scan_left == 0 {
                break;
            }
            let (name, cursor) = request[index];
            let left = Limits { max_entries: entries_left, max_bytes: bytes_left, max_scan: scan_left, ..limits };
            let answer = match pin.dataset(name) {
                Ok(Some(dataset)) if pin.is_behind(&dataset) => {
                    trusting &= !pin.is_torn();
                    continue 'moment;
                }
                Ok(Some(dataset)) => page(core, &pin, &dataset, &cursor, left),
                Ok(None) => Err(Error::DatasetNotFound { dataset: name.to_vec() }),
                Err(error) => Err(error),
            };
            if pin.is_torn() {
                trusting = false;
                continue 'moment;
            }
            let (answer, scanned) = match answer {
                Ok(read) => read,
                Err(error) => {
                    datasets[index] = DatasetChanges::Failed(error);
                    continue;
                }
            };
            let size = answer.entries.bytes();
            if any && size > bytes_left {
                // Its first entry alone is above what is left: it is the next answer's.
                break;
            }
            any |= !answer.entries.is_empty();
            entries_left -= answer.entries.len();
            bytes_left = bytes_left.saturating_sub(size);
            scan_left = scan_left.saturating_sub(scanned.max(1));
            let ended = answer.more;
            datasets[index] = DatasetChanges::Page(answer);
            next_index = if ended { index } else { (index + 1) % request.len() };
            if ended && bytes_left == 0 {
                break;
            }
        }
        let more = datasets.iter().any(|answer| match answer {
            DatasetChanges::Page(Page { more, .. }) => *more,
            DatasetChanges::NotReached => true,
            DatasetChanges::Failed(_) => false,
        });
        return Ok(ManyPage { datasets, more, next_index, visible: SyncKey::new(pin.visible) });
    }
}
