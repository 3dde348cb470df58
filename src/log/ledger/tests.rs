use super::*;
use crate::frame::tests::assert_golden;
use crate::vfs::OsVfs;

fn sample() -> LedgerState {
    let mut state = LedgerState::new(0xabcd, 77, SyncKeys::Timestamp);
    state.begin_lineage(78, 1000, 2000);
    state.lease = 5000;
    state.segments = vec![3, 4, 7];
    state.sealing_upto = Upto { key: 900, pos: LogPos { segment: 3, offset: 512 } };
    state.applied_upto = Upto { key: 800, pos: LogPos { segment: 3, offset: 256 } };
    state.synced_upto = LogPos { segment: 7, offset: 128 };
    state.clean = Some(CleanEnd { next_key: 1001, last_key: 1000, end: LogPos { segment: 7, offset: 640 } });
    state.time_ms = 1_700_000_000_123;
    state
}

fn created() -> (tempfile::TempDir, PathBuf, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::create(&OsVfs, dir.path(), sample()).unwrap();
    let path = dir.path().join("ledger");
    (dir, path, ledger)
}

#[test]
fn the_slot_is_the_golden_one() {
    let slot = encode_slot(&sample(), 6).unwrap();
    assert_golden("ledger-slot.bin", &slot);
    let Ok(Slot::Good(6, state)) = decode_slot(slot.as_slice().try_into().unwrap(), 0) else { panic!("a good slot") };
    assert_eq!(*state, sample());
}

#[test]
fn updates_are_found_after_reopening() {
    let (dir, _, mut ledger) = created();
    for lease in 5001..5010 {
        ledger.update(|state| state.lease = lease).unwrap();
        let reopened = Ledger::open(&OsVfs, dir.path()).unwrap();
        assert_eq!(reopened.state(), ledger.state());
        assert_eq!(reopened.state().lease, lease);
    }
}

#[test]
fn a_slot_torn_at_any_byte_leaves_the_state_before_or_after() {
    let (dir, path, mut ledger) = created();
    ledger.update(|state| state.lease = 6000).unwrap();
    let before = std::fs::read(&path).unwrap();
    ledger.update(|state| state.lease = 7000).unwrap();
    let after = std::fs::read(&path).unwrap();
    assert_ne!(before[..SLOT_LEN], after[..SLOT_LEN]);
    let mut seen = [0, 0];
    for cut in 0..=SLOT_LEN {
        let torn = [&after[..cut], &before[cut..]].concat();
        std::fs::write(&path, &torn).unwrap();
        match Ledger::open(&OsVfs, dir.path()).unwrap().state().lease {
            6000 => seen[0] += 1,
            7000 => seen[1] += 1,
            other => panic!("lease {other} at cut {cut}"),
        }
    }
    assert!(seen[0] > 1 && seen[1] > 1, "{seen:?}");
}

#[test]
fn a_flipped_bit_falls_back_to_the_other_slot_and_is_reported() {
    let (dir, path, mut ledger) = created();
    ledger.update(|state| state.lease = 6000).unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in (0..2 * SLOT_LEN).step_by(37).chain([0, 8, 12, 16, 24, 28, 31, SLOT_LEN - 1]) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let expected = if at < SLOT_LEN { 6000 } else { 5000 };
        assert_eq!(Ledger::open(&OsVfs, dir.path()).unwrap().state().lease, expected, "byte {at}");
        let mut findings = Vec::new();
        Ledger::inspect(&OsVfs, dir.path(), &mut |finding| findings.push(finding)).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].offset, Some(if at < SLOT_LEN { 0 } else { SLOT_LEN as u64 }));
    }
}

#[test]
fn two_bad_slots_a_wrong_length_or_no_file_are_damage() {
    let (dir, path, _ledger) = created();
    let good = std::fs::read(&path).unwrap();
    let mut both = good.clone();
    both[100] ^= 1;
    both[SLOT_LEN + 100] ^= 1;
    for bytes in [both, vec![0; 2 * SLOT_LEN], good[..SLOT_LEN].to_vec(), [&good[..], b"x"].concat(), Vec::new()] {
        std::fs::write(&path, &bytes).unwrap();
        let opened = Ledger::open(&OsVfs, dir.path());
        assert!(matches!(opened, Err(Error::Damaged { file, .. }) if file == path), "{} bytes", bytes.len());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Ledger::open(&OsVfs, dir.path()), Err(Error::Damaged { file, .. }) if file == path));
    assert!(!Ledger::exists(&OsVfs, dir.path()).unwrap());
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let (dir, path, _ledger) = created();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    let crc = slot_crc(&bytes[..SLOT_LEN]).to_le_bytes();
    bytes[CRC_AT..HEADER_LEN].copy_from_slice(&crc);
    std::fs::write(&path, &bytes).unwrap();
    let opened = Ledger::open(&OsVfs, dir.path());
    assert!(matches!(opened, Err(Error::FormatTooNew { found: 2, supported: 1, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn the_greatest_ledger_fits_its_slot() {
    let mut state = sample();
    state.segments = (1..=MAX_SEGMENTS as u64).map(|id| (1 << 40) + id * 200).collect();
    for id in 0..MAX_LINEAGES as u64 + 10 {
        state.begin_lineage(u64::MAX - id, MAX_KEY - id, MAX_KEY - id);
    }
    assert_eq!(state.earlier.len(), MAX_LINEAGES);
    assert_eq!(state.earlier.last().unwrap().id, u64::MAX - MAX_LINEAGES as u64 - 8);
    let slot = encode_slot(&state, 2).unwrap();
    let Ok(Slot::Good(_, read)) = decode_slot(slot.as_slice().try_into().unwrap(), 0) else { panic!("a good slot") };
    assert_eq!(*read, state);
    state.segments = (1..=MAX_SEGMENTS as u64).map(|id| id << 50).collect();
    assert!(encode_slot(&state, 2).is_err());
}

#[test]
fn an_impossible_change_is_refused_without_harm() {
    let (dir, _, mut ledger) = created();
    for change in [
        (|state: &mut LedgerState| state.segments = vec![2, 2]) as fn(&mut LedgerState),
        |state| state.segments = vec![0],
        |state| state.lease = MAX_KEY + 1,
    ] {
        assert!(matches!(ledger.update(change), Err(Error::Invalid { .. })));
        assert_eq!(ledger.state(), &sample());
    }
    ledger.update(|state| state.lease = 6000).unwrap();
    assert_eq!(Ledger::open(&OsVfs, dir.path()).unwrap().state().lease, 6000);
}

#[test]
fn a_state_that_was_in_memory_only_is_written_again() {
    let (dir, path, mut ledger) = created();
    ledger.update(|state| state.lease = 6000).unwrap();
    let mut reopened = Ledger::open(&OsVfs, dir.path()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[SLOT_LEN..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    reopened.refresh(&OsVfs).unwrap();
    Ledger::inspect(&OsVfs, dir.path(), &mut |finding| panic!("{finding:?}")).unwrap();
    assert_eq!(Ledger::open(&OsVfs, dir.path()).unwrap().state().lease, 6000);
}

#[test]
fn a_key_beyond_the_highest_makes_a_slot_bad_though_its_checksum_is_right() {
    let clean = CleanEnd { next_key: 1, last_key: 1, end: LogPos::default() };
    for change in [
        (|state, _| state.lease = MAX_KEY) as fn(&mut LedgerState, CleanEnd),
        |state, _| state.sealing_upto.key = MAX_KEY,
        |state, _| state.applied_upto.key = MAX_KEY,
        |state, clean| state.clean = Some(CleanEnd { next_key: MAX_KEY, ..clean }),
        |state, clean| state.clean = Some(CleanEnd { last_key: MAX_KEY, ..clean }),
        |state, _| state.begin_lineage(9, MAX_KEY, 1),
        |state, _| state.begin_lineage(9, 1, MAX_KEY),
    ] {
        let mut state = sample();
        change(&mut state, clean);
        let mut slot: [u8; SLOT_LEN] = encode_slot(&state, 2).unwrap().try_into().unwrap();
        assert!(matches!(decode_slot(&slot, 0), Ok(Slot::Good(2, _))));
        let at = slot.windows(8).position(|bytes| bytes == MAX_KEY.to_le_bytes()).unwrap();
        slot[at..at + 8].copy_from_slice(&(MAX_KEY + 1).to_le_bytes());
        let crc = slot_crc(&slot).to_le_bytes();
        slot[CRC_AT..HEADER_LEN].copy_from_slice(&crc);
        assert!(matches!(decode_slot(&slot, 0), Err(Malformed("a key is above its limit"))), "{state:?}");
    }
}

#[test]
fn the_last_number_is_never_written_for_it_would_not_be_read() {
    assert!(encode_slot(&sample(), u64::MAX - 1).is_ok());
    assert!(encode_slot(&sample(), u64::MAX).is_err());
}
