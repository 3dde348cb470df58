use std::path::Path;

use super::input::Input;
use super::sim::{Image, SimDisk};
use crate::error::Error;
use crate::limits::{MAX_KEY, MAX_LINEAGES, MAX_SEGMENTS};
use crate::log::{Ledger, LedgerState};

const SLOT: usize = 4096;
const DIR: &str = "/store";

/// The ledger's file. The first byte says how the rest is meant: as the whole file, or as two slots of which the first
/// one's length comes first; with or without checksums put right.
pub fn ledger(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let mode = input.u8();
    let mut file = match mode & 1 {
        0 => input.rest().to_vec(),
        _ => {
            let len = usize::from(input.u16()) % (SLOT + 1);
            let mut slots = input.take(len).to_vec();
            slots.resize(SLOT, 0);
            slots.extend(input.take(SLOT));
            slots.resize(2 * SLOT, 0);
            slots
        }
    };
    let taken = opened(&file);
    file.chunks_exact_mut(SLOT).for_each(put_right);
    taken | opened(&file)
}

/// Of the whole slot but for the checksum itself, which stands at byte 28.
fn put_right(slot: &mut [u8]) {
    let crc = crc32fast::hash(&[&slot[..28], &slot[32..]].concat());
    slot[28..32].copy_from_slice(&crc.to_le_bytes());
}

fn opened(file: &[u8]) -> bool {
    let dir = Path::new(DIR);
    let before = Image::from([(Ledger::path(dir), file.to_vec())]);
    let memory = SimDisk::of(&before);
    let mut findings = 0;
    let inspected = Ledger::inspect(&memory, dir, &mut |_| findings += 1);
    let mut ledger = match (Ledger::open(&memory, dir), inspected) {
        (Ok(ledger), Ok(state)) => {
            assert_eq!(*ledger.state(), state, "looking says something else than opening");
            assert!(findings <= 1, "both slots are damaged, and it opens");
            ledger
        }
        (Err(error), Err(same)) => {
            assert!(matches!(error, Error::Damaged { .. } | Error::FormatTooNew { .. }), "{error:?}");
            assert_eq!(error.to_string(), same.to_string());
            assert_eq!(memory.image(), before, "a refused ledger was changed");
            return false;
        }
        (opened, inspected) => panic!("opened: {:?}, inspected: {:?}", opened.map(|_| ()), inspected.map(|_| ())),
    };
    let state = ledger.state().clone();
    check(&state);

    let copy = SimDisk::new();
    copy.make_dir(dir);
    Ledger::create(&copy, dir, state.clone()).expect("what was read can be written");
    assert_eq!(*reopened(&copy, dir).state(), state, "written and read again, it says something else");

    if let Err(error) = ledger.refresh(&memory) {
        // Nobody counts that far, but bytes may say so.
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert_eq!(memory.image(), before, "a refused refresh was written");
        return true;
    }
    assert_eq!(*reopened(&memory, dir).state(), state, "refreshed, it says something else");
    // A slot that is half written costs the newer state only.
    let older = memory.image();
    if let Err(error) = ledger.update(|state| state.time_ms ^= 1) {
        // Nobody counts that far, but bytes may say so.
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert_eq!(memory.image(), older, "a refused update was written");
        return true;
    }
    let newer = reopened(&memory, dir).state().clone();
    assert_eq!(newer, LedgerState { time_ms: state.time_ms ^ 1, ..state.clone() });
    let mut torn = memory.image();
    let (was, is) = (&older[&Ledger::path(dir)], torn.get_mut(&Ledger::path(dir)).expect("the file"));
    for at in [0, SLOT] {
        if was[at..at + SLOT] != is[at..at + SLOT] {
            is[at + SLOT / 2..at + SLOT].fill(0xa5);
        }
    }
    assert_eq!(*reopened(&SimDisk::of(&torn), dir).state(), state, "a torn update cost the state before it");
    true
}

fn reopened(memory: &SimDisk, dir: &Path) -> Ledger {
    Ledger::open(memory, dir).expect("what was written opens")
}

fn check(state: &LedgerState) {
    assert!(state.earlier.len() <= MAX_LINEAGES && state.segments.len() <= MAX_SEGMENTS);
    assert!(state.segments.windows(2).all(|pair| pair[0] < pair[1]) && !state.segments.contains(&0));
    let clean = state.clean.map_or([0; 2], |clean| [clean.next_key, clean.last_key]);
    let lineages = state.earlier.iter().flat_map(|lineage| [lineage.last_key, lineage.next_key]);
    let keys = [state.lease, state.sealing_upto.key, state.applied_upto.key];
    for key in keys.into_iter().chain(clean).chain(lineages) {
        assert!(key <= MAX_KEY, "{key} is no key: sums with it overflow");
    }
}
