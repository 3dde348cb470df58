use super::*;

/// Three frames, each synced before the next, at these offsets; the end is the last.
fn three(dir: &Path) -> (Log, [u64; 4]) {
    let mut log = create(dir);
    let mut at = [log.end().offset; 4];
    for (index, key) in (1..4).enumerate() {
        at[index + 1] = commit(&mut log, key, &[key as u8; 20]).offset;
    }
    (log, at)
}

fn first(count: u64) -> Seen {
    expected((1..=count).map(|key| (key, vec![key as u8; 20])))
}

#[test]
fn a_clean_close_changes_nothing_but_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, at) = three(dir.path());
    log.close(4).unwrap();
    assert!(matches!(append(&mut log, &[(9, b"late")]), Err(AppendError::Failed(_))));
    drop(log);
    let Opened { mut log, recovery, frames } = open(dir.path()).unwrap();
    assert_eq!(frames, first(3));
    let clean = Recovery { last_key: 3, next_key: 4, time_ms: 1003, lineage_changed: false, cut: None };
    assert_eq!(recovery, clean);
    assert_eq!((log.segments(), log.end()), (vec![1], LogPos { segment: 1, offset: at[3] }));
    assert_eq!(log.ledger.lock().state().clean, None);
    commit(&mut log, 4, &[4; 20]);
    drop(log);
    let opened = open(dir.path()).unwrap();
    assert_eq!(opened.frames, first(4));
    assert!(opened.recovery.lineage_changed);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = three(dir.path());
    drop(log);
    let whole = snapshot(dir.path());
    let path = segment_path(dir.path(), 1);
    let body_end = at[2] as usize + 64 + body(&[3; 20]).0.bytes.len();
    for cut in at[2] as usize..at[3] as usize {
        restore(dir.path(), &whole);
        edit(&path, |bytes| bytes[cut..].fill(0));
        let opened = open(dir.path()).unwrap();
        let whole_frame = cut >= body_end;
        assert_eq!(opened.frames, first(if whole_frame { 3 } else { 2 }), "cut at {cut}");
        let torn = opened.recovery.cut;
        assert_eq!(torn.is_some(), cut > at[2] as usize && !whole_frame, "cut at {cut}");
        if let Some(torn) = torn {
            assert_eq!((&torn.file, torn.offset), (&path, at[2]));
            let kept = fs::read(&torn.kept).unwrap();
            assert_eq!(kept, whole[&path][at[2] as usize..][..torn.bytes as usize]);
        }
        assert!(findings(dir.path()).1.is_empty());
    }
}

#[test]
fn unsynced_damage_is_cut_with_everything_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, at) = three(dir.path());
    append(&mut log, &[(4, b"one"), (5, b"two"), (6, b"three")]).unwrap();
    drop(log);
    // The header of frame 4 proves frame 3, so only 4, 5 and 6 may be torn.
    edit(&segment_path(dir.path(), 1), |bytes| bytes[at[3] as usize + 70] ^= 1);
    let opened = open(dir.path()).unwrap();
    assert_eq!(opened.frames, first(3));
    let (kept, len) = opened.recovery.cut.map(|cut| (cut.kept, cut.bytes)).unwrap();
    assert_eq!(fs::metadata(kept).unwrap().len(), len);
    assert_eq!(opened.recovery.last_key, 3);
}

#[test]
fn only_the_last_torn_tails_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    drop(three(dir.path()));
    for _ in 0..7 {
        let Opened { mut log, recovery, .. } = open(dir.path()).unwrap();
        commit(&mut log, recovery.next_key, b"synced");
        let end = log.end();
        let path = log.path_of(end.segment);
        drop(log);
        edit(&path, |bytes| bytes[end.offset as usize..][..9].copy_from_slice(b"torn tail"));
    }
    open(dir.path()).unwrap();
    assert_eq!(names(dir.path(), "torn-").len(), 4);
}

#[test]
fn garbage_and_misplaced_frames_behind_the_end_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = three(dir.path());
    drop(log);
    let whole = snapshot(dir.path());
    let path = segment_path(dir.path(), 1);
    let (second, end) = (at[1] as usize..at[2] as usize, at[3] as usize);
    let frame = whole[&path][second].to_vec();
    for offset in [end, end + 8, end + 13] {
        restore(dir.path(), &whole);
        edit(&path, |bytes| bytes[offset..offset + frame.len()].copy_from_slice(&frame));
        assert_eq!(open(dir.path()).unwrap().frames, first(3));
    }
    restore(dir.path(), &whole);
    edit(&path, |bytes| bytes[end..].iter_mut().enumerate().for_each(|(i, byte)| *byte = ((i * 7919) >> 3) as u8));
    assert_eq!(open(dir.path()).unwrap().frames, first(3));
}

#[test]
fn recovering_again_and_again_gives_the_same_frames_and_a_new_lineage_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = three(dir.path());
    append(&mut log, &[(4, &[4; 20]), (5, &[5; 20])]).unwrap();
    drop(log);
    let mut lineages = vec![6];
    let (mut segments, mut next_key) = (Vec::new(), 0);
    for round in 0..8 {
        let Opened { log, recovery, frames } = open(dir.path()).unwrap();
        assert_eq!(frames, first(5), "round {round}");
        assert!(recovery.lineage_changed && recovery.next_key > next_key.max(5));
        assert_eq!(recovery.last_key, 5);
        let state = log.ledger.lock().state().clone();
        assert!(state.lease > recovery.next_key && !lineages.contains(&state.lineage));
        assert_eq!(
            state.earlier.last(),
            Some(&Lineage { id: *lineages.last().unwrap(), last_key: 5, next_key: recovery.next_key })
        );
        lineages.push(state.lineage);
        (segments, next_key) = (log.segments(), recovery.next_key);
        assert_eq!(findings(dir.path()).0.frames, 5);
    }
    assert!(segments.len() <= 3, "{segments:?}");
    assert!(names(dir.path(), "0").len() + names(dir.path(), "spare").len() <= 5);
}

#[test]
fn what_recovery_served_is_proven_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = three(dir.path());
    append(&mut log, &[(4, &[4; 20])]).unwrap();
    drop(log);
    let Opened { log, frames, .. } = open(dir.path()).unwrap();
    assert_eq!(frames, first(4));
    let (path, end) = (log.path_of(log.end().segment), log.end());
    drop(log);
    // Frames 3 and 4 were copied; the last one rots.
    edit(&path, |bytes| bytes[end.offset as usize - 9] ^= 1);
    let start = end.offset - frame_len(body(&[4; 20]).0.bytes.len());
    assert_damaged(open(dir.path()), &path, Some(start));
}

#[test]
fn only_frames_above_the_applied_key_are_visited() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = three(dir.path());
    let applied = Upto { key: 2, pos: LogPos { segment: 1, offset: at[2] } };
    let sealing = |state: &mut LedgerState| (state.sealing_upto, state.applied_upto) = (applied, applied);
    log.ledger.lock().update(sealing).unwrap();
    drop(log);
    let whole = snapshot(dir.path());
    let opened = open_on(Arc::new(OsVfs), dir.path(), applied).unwrap();
    assert_eq!(opened.frames, first(3)[2..]);
    restore(dir.path(), &whole);
    let all = Upto { key: 3, pos: LogPos { segment: 1, offset: at[3] } };
    let opened = open_on(Arc::new(OsVfs), dir.path(), all).unwrap();
    assert_eq!((opened.frames.len(), opened.recovery.last_key), (0, 3));
    restore(dir.path(), &whole);
    assert_damaged(open(dir.path()), dir.path(), None);
}

#[test]
fn timestamp_keys_go_on_at_the_present() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = three(dir.path());
    log.ledger.lock().update(|state| state.sync_keys = SyncKeys::Timestamp).unwrap();
    drop(log);
    let opened = open(dir.path()).unwrap();
    assert_eq!(opened.recovery.next_key, 1_700_000_000_000 << 20);
    assert!(opened.log.ledger.lock().state().lease > opened.recovery.next_key);
}

#[test]
fn a_store_whose_creation_was_interrupted_opens_empty() {
    let dir = tempfile::tempdir().unwrap();
    Ledger::create(&OsVfs, dir.path(), LedgerState::new(5, 6, SyncKeys::Counter)).unwrap();
    let Opened { mut log, recovery, frames } = open(dir.path()).unwrap();
    assert_eq!((recovery.next_key, recovery.lineage_changed, frames.len()), (1, false, 0));
    commit(&mut log, 1, &[1; 20]);
    drop(log);
    assert_eq!(open(dir.path()).unwrap().frames, first(1));
}

#[test]
fn a_sound_frame_that_does_not_continue_the_log_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = three(dir.path());
    let (chain, place) = (log.chain, log.current.header.place(at[3]));
    drop(log);
    let whole = snapshot(dir.path());
    let path = segment_path(dir.path(), 1);
    let (body, body_crc) = body(&[4; 20]);
    for (prev_crc, base, count) in [(chain, 4, 4), (chain ^ 1, 4, 3), (chain, 3, 3), (chain, 1, 3)] {
        restore(dir.path(), &whole);
        let synced = LogPos { segment: 1, offset: at[2] };
        let body_len = body.bytes.len() as u32;
        let header = FrameHeader { body_len, count: 1, base, time_ms: 0, body_crc, synced, prev_crc };
        edit(&path, |bytes| {
            let at = at[3] as usize;
            bytes[at..at + 64].copy_from_slice(&header.encode(&place).0);
            bytes[at + 64..][..body.bytes.len()].copy_from_slice(&body.bytes);
        });
        assert_eq!(open(dir.path()).unwrap().frames, first(count), "base {base}");
    }
}

#[test]
fn an_empty_segment_stays_listed_while_the_applied_position_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = three(dir.path());
    roll(&mut log).unwrap();
    let applied = Upto { key: 3, pos: log.end() };
    log.ledger.lock().update(|state| (state.sealing_upto, state.applied_upto) = (applied, applied)).unwrap();
    log.recycle(applied.pos).unwrap();
    drop(log);
    for _ in 0..4 {
        let opened = open_on(Arc::new(OsVfs), dir.path(), applied).unwrap();
        assert_eq!((opened.frames.len(), opened.recovery.last_key), (0, 3));
        assert_eq!((opened.log.segments().first(), opened.log.segments().len()), (Some(&2), 2));
    }
}
