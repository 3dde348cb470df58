//! The ledger: the one small file that says what the rest of the store is. Two slots are written in turn, so that a
//! torn write costs the newer state only, which nobody was told of yet.

mod replace;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec::{Malformed, Reader};
use crate::error::{Error, Result};
use crate::frame::LogPos;
use crate::limits::{MAX_KEY, MAX_LINEAGES, MAX_SEGMENTS};
use crate::meta;
use crate::options::SyncKeys;
use crate::planted::{Bug, planted};
use crate::types::Finding;
use crate::vfs::{Vfs, VfsFile, is_full, read_exact_at, write_all_at};
use replace::{put_in_place, write_beside};

/// The newest format of a store that this build reads, and the one it writes.
pub const FORMAT_VERSION: u32 = 1;

const FILE_NAME: &str = "ledger";
const MAGIC: [u8; 8] = *b"TIDELEDG";
const SLOT_LEN: usize = 4096;
const HEADER_LEN: usize = 32;
const CRC_AT: usize = 28;

/// A key and the place in the log that belongs to it: everything at or below the key lies before the position, and
/// everything above it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Upto {
    /// The key.
    pub key: u64,
    /// The position.
    pub pos: LogPos,
}

/// An earlier history of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Its random id.
    pub id: u64,
    /// The last key of it that this store shares.
    pub last_key: u64,
    /// The first key that the history after it could give: keys between the two may have been handed out and lost.
    pub next_key: u64,
}

/// How the store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanEnd {
    /// The next key to give out.
    pub next_key: u64,
    /// The last key in the log.
    pub last_key: u64,
    /// Where the log ends.
    pub end: LogPos,
}

/// What the ledger says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerState {
    /// The store's random id.
    pub store: u64,
    /// How keys are given out.
    pub sync_keys: SyncKeys,
    /// The id of the present history.
    pub lineage: u64,
    /// Earlier histories, oldest first, at most [`MAX_LINEAGES`].
    pub earlier: Vec<Lineage>,
    /// Keys below this may have been given out.
    pub lease: u64,
    /// The log's segments, ascending.
    #[serde(with = "gaps")]
    pub segments: Vec<u64>,
    /// Everything up to here was durable before a seal of it began.
    pub sealing_upto: Upto,
    /// Everything up to here is in the index store.
    pub applied_upto: Upto,
    /// Everything before here is durable: where the last recovery or close ended.
    pub synced_upto: LogPos,
    /// How the store was closed; none while it is open or if it was not closed.
    pub clean: Option<CleanEnd>,
    /// The last commit time known, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

impl LedgerState {
    /// A new store's.
    pub fn new(store: u64, lineage: u64, sync_keys: SyncKeys) -> LedgerState {
        LedgerState {
            store,
            sync_keys,
            lineage,
            earlier: Vec::new(),
            lease: 1,
            segments: Vec::new(),
            sealing_upto: Upto::default(),
            applied_upto: Upto::default(),
            synced_upto: LogPos::default(),
            clean: None,
            time_ms: 0,
        }
    }

    /// Begins a new history; the present one was shared up to `last_key`, the new one gives keys from
    /// `next_key` on. The oldest are forgotten.
    pub fn begin_lineage(&mut self, id: u64, last_key: u64, next_key: u64) {
        self.earlier.push(Lineage { id: self.lineage, last_key, next_key });
        let excess = self.earlier.len().saturating_sub(MAX_LINEAGES);
        self.earlier.drain(..excess);
        self.lineage = id;
    }

    fn check(&self) -> Result<(), Malformed> {
        let keys = [self.lease, self.sealing_upto.key, self.applied_upto.key];
        let ends = self.clean.iter().flat_map(|clean| [clean.next_key, clean.last_key]);
        let lineages = self.earlier.iter().flat_map(|lineage| [lineage.last_key, lineage.next_key]);
        if keys.into_iter().chain(ends).chain(lineages).any(|key| key > MAX_KEY) {
            return Err(Malformed("a key is above its limit"));
        }
        if self.earlier.len() > MAX_LINEAGES || self.segments.len() > MAX_SEGMENTS {
            return Err(Malformed("a list is above its limit"));
        }
        match self.segments.windows(2).any(|pair| pair[0] >= pair[1]) || self.segments.first() == Some(&0) {
            true => Err(Malformed("the segments are not in order")),
            false => Ok(()),
        }
    }
}

/// Ascending ids as the gaps between them: a byte each, so that the longest list fits a slot.
mod gaps {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<S: Serializer>(ids: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let before = std::iter::once(&0).chain(ids);
        ids.iter().zip(before).map(|(id, before)| id.wrapping_sub(*before)).collect::<Vec<u64>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let mut id = 0u64;
        let gaps = Vec::<u64>::deserialize(deserializer)?;
        let sum = |gap| {
            id = id.checked_add(gap).ok_or_else(|| de::Error::custom("an id overflows"))?;
            Ok(id)
        };
        gaps.into_iter().map(sum).collect()
    }
}

/// The open ledger.
pub struct Ledger {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    seq: u64,
    state: LedgerState,
    failed: Option<String>,
}

impl Ledger {
    /// The file's path in a store's directory.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(FILE_NAME)
    }

    /// Whether the directory has a ledger, that is, holds a store.
    pub fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
        let path = Ledger::path(dir);
        vfs.exists(&path).map_err(|source| Error::io(format!("look for {}", path.display()), source))
    }

    /// Writes a new store's ledger: wholly there or not at all, and durable.
    pub fn create(vfs: &dyn Vfs, dir: &Path, state: LedgerState) -> Result<Ledger> {
        let path = Ledger::path(dir);
        let what = || format!("create {}", path.display());
        let bad = |Malformed(why)| Error::invalid(format!("{}: {why}", path.display()));
        encode_slot(&state, 1).map_err(bad)?;
        let write = || {
            let file = write_beside(vfs, dir, &state, 1)?;
            put_in_place(vfs, dir).map(|()| file)
        };
        let file = write().map_err(|source| Error::io(what(), source))?;
        Ok(Ledger { path, file, seq: 2, state, failed: None })
    }

    /// Opens a store's ledger and changes nothing.
    pub fn open(vfs: &dyn Vfs, dir: &Path) -> Result<Ledger> {
        let path = Ledger::path(dir);
        let io = |source| Error::io(format!("open {}", path.display()), source);
        if !vfs.exists(&path).map_err(io)? {
            return Err(Error::damaged(path, None, "the file is missing"));
        }
        let file = vfs.open(&path, true).map_err(io)?;
        let slots = read_slots(&*file, &path)?;
        let Some((seq, state)) = choose(&slots, &path)? else {
            return Err(Error::damaged(path, 0, "both slots are damaged"));
        };
        Ok(Ledger { path, file, seq, state, failed: None })
    }

    /// What a store's ledger says, without opening it for writing; a damaged slot is reported, also if the other one
    /// makes up for it.
    pub fn inspect(vfs: &dyn Vfs, dir: &Path, report: &mut dyn FnMut(Finding)) -> Result<LedgerState> {
        let path = Ledger::path(dir);
        let io = |source| Error::io(format!("open {}", path.display()), source);
        if !vfs.exists(&path).map_err(io)? {
            return Err(Error::damaged(path, None, "the file is missing"));
        }
        let slots = read_slots(&*vfs.open(&path, false).map_err(io)?, &path)?;
        for (index, slot) in slots.iter().enumerate() {
            if let Slot::Bad(why) = slot {
                let offset = Some((index * SLOT_LEN) as u64);
                let what = format!("{why} (the other slot may make up for it)");
                report(Finding { file: Some(path.clone()), offset, dataset: None, key: None, what });
            }
        }
        match choose(&slots, &path)? {
            Some((_, state)) => Ok(state),
            None => Err(Error::damaged(path, 0, "both slots are damaged")),
        }
    }

    /// What the ledger says.
    pub fn state(&self) -> &LedgerState {
        &self.state
    }

    /// Changes the state, durably. If it fails, the state in memory is as it was; if the file may have been touched,
    /// every later update fails too, since what the disk holds is not known.
    pub fn update(&mut self, change: impl FnOnce(&mut LedgerState)) -> Result<()> {
        let mut state = self.state.clone();
        change(&mut state);
        let seq = self.seq + if planted(Bug::LedgerSameSlot) { 2 } else { 1 };
        self.write(&state, seq)?;
        self.seq = seq;
        self.state = state;
        Ok(())
    }

    /// Writes the state once more as it is, into a new file that takes the place of this one. To be done after opening,
    /// before anything follows from the state: if the sync of its last update failed, what was read may be in memory
    /// only, and syncing it again would prove nothing. Written again in place, it could be torn, though it was durable
    /// and much had followed from it; written into the other slot, both could be lost.
    pub fn refresh(&mut self, vfs: &dyn Vfs) -> Result<()> {
        let bad = |Malformed(why)| Error::invalid(format!("{}: {why}", self.path.display()));
        let seq = self.seq.saturating_add(2);
        encode_slot(&self.state, seq).map_err(bad)?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let what = || format!("write {}", self.path.display());
        let file = match write_beside(vfs, dir, &self.state, seq - 1) {
            Ok(file) => file,
            // There is no space for it, which only its sync may have found: better in place than not to open.
            Err(error) if is_full(&error) => return self.write(&self.state.clone(), self.seq),
            Err(source) => return Err(Error::io(what(), source)),
        };
        put_in_place(vfs, dir).map_err(|source| Error::Io { what: what(), source })?;
        (self.file, self.seq) = (file, seq);
        Ok(())
    }

    fn write(&mut self, state: &LedgerState, seq: u64) -> Result<()> {
        if let Some(cause) = &self.failed {
            return Err(Error::Poisoned { cause: cause.clone() });
        }
        let slot = encode_slot(state, seq)
            .map_err(|Malformed(why)| Error::invalid(format!("{}: {why}", self.path.display())))?;
        let sync = || if planted(Bug::LedgerNotSynced) { Ok(()) } else { self.file.sync_data() };
        write_all_at(&*self.file, &slot, slot_offset(seq)).and_then(|()| sync()).map_err(|source| {
            let what = format!("write {}", self.path.display());
            self.failed = Some(format!("{what}: {source}"));
            Error::Io { what, source }
        })
    }
}

/// A slot as it was read.
enum Slot {
    Good(u64, Box<LedgerState>),
    TooNew(u32),
    Bad(&'static str),
}

fn read_slots(file: &dyn VfsFile, path: &Path) -> Result<[Slot; 2]> {
    let io = |source| Error::io(format!("read {}", path.display()), source);
    let len = file.len().map_err(io)?;
    if len != 2 * SLOT_LEN as u64 {
        let what = format!("the file is {len} bytes long instead of {}", 2 * SLOT_LEN);
        return Err(Error::damaged(path, len.min(2 * SLOT_LEN as u64), what));
    }
    let mut slots = [Slot::Bad(""), Slot::Bad("")];
    let mut bytes = [0; SLOT_LEN];
    for (index, slot) in (0u64..).zip(&mut slots) {
        read_exact_at(file, &mut bytes, index * SLOT_LEN as u64).map_err(io)?;
        *slot = decode_slot(&bytes, index).unwrap_or_else(|Malformed(why)| Slot::Bad(why));
    }
    Ok(slots)
}

/// The newer of two good slots; none if both are bad. A slot of a newer format decides alone.
fn choose(slots: &[Slot; 2], path: &Path) -> Result<Option<(u64, LedgerState)>> {
    let mut newest: Option<(u64, &LedgerState)> = None;
    for slot in slots {
        match slot {
            Slot::TooNew(found) => {
                let (file, found) = (path.to_path_buf(), *found);
                return Err(Error::FormatTooNew { file, found, supported: FORMAT_VERSION });
            }
            Slot::Good(seq, state) if newest.is_none_or(|(newest, _)| newest < *seq) => newest = Some((*seq, state)),
            Slot::Good(..) | Slot::Bad(_) => {}
        }
    }
    Ok(newest.map(|(seq, state)| (seq, state.clone())))
}

fn encode_slot(state: &LedgerState, seq: u64) -> Result<Vec<u8>, Malformed> {
    state.check()?;
    if seq == u64::MAX {
        return Err(Malformed("the ledger was written too often"));
    }
    let body = meta::encode(state)?;
    if body.len() > SLOT_LEN - HEADER_LEN {
        return Err(Malformed("the ledger is full"));
    }
    let mut slot = Vec::with_capacity(SLOT_LEN);
    slot.extend_from_slice(&MAGIC);
    slot.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    slot.extend_from_slice(&(body.len() as u32).to_le_bytes());
    slot.extend_from_slice(&seq.to_le_bytes());
    slot.extend_from_slice(&[0; 8]);
    slot.extend_from_slice(&body);
    slot.resize(SLOT_LEN, 0);
    let crc = slot_crc(&slot).to_le_bytes();
    slot[CRC_AT..HEADER_LEN].copy_from_slice(&crc);
    Ok(slot)
}

fn decode_slot(bytes: &[u8; SLOT_LEN], index: u64) -> Result<Slot, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != MAGIC {
        return Err(Malformed("this is not a ledger slot"));
    }
    let version = reader.u32()?;
    let len = reader.u32()?;
    let seq = reader.u64()?;
    let reserved = reader.u32()?;
    if reader.u32()? != slot_crc(bytes) {
        return Err(Malformed("the slot's checksum is wrong"));
    }
    if version > FORMAT_VERSION {
        return Ok(Slot::TooNew(version));
    }
    if version == 0 || reserved != 0 || seq % 2 != index || seq == u64::MAX {
        return Err(Malformed("the slot's header is wrong"));
    }
    let len = usize::try_from(len).map_err(|_| Malformed("a length is above its limit"))?;
    let state: LedgerState = meta::decode(reader.take(len)?)?;
    state.check()?;
    Ok(Slot::Good(seq, Box::new(state)))
}

/// Slot 0 holds even numbers.
fn slot_offset(seq: u64) -> u64 {
    (seq % 2) * SLOT_LEN as u64
}

/// Of the whole slot but for the checksum itself.
fn slot_crc(slot: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(slot.get(..CRC_AT).unwrap_or_default());
    hasher.update(slot.get(HEADER_LEN..).unwrap_or_default());
    hasher.finalize()
}

#[cfg(test)]
mod tests;
