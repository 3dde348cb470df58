use super::*;

/// Frames 1 to 6 over at least two segments, each synced before the next.
fn filled(dir: &Path) -> (Log, Vec<LogPos>) {
    let mut log = create(dir);
    let mut starts = Vec::new();
    for key in 1..=6 {
        let len = frame_len(body(&[key as u8; 1000]).0.bytes.len());
        let end = commit(&mut log, key, &[key as u8; 1000]);
        starts.push(LogPos { segment: end.segment, offset: end.offset - len });
    }
    assert_eq!(log.segments(), [1, 2]);
    (log, starts)
}

#[test]
fn a_flip_in_any_byte_of_a_proven_frame_is_named_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (log, starts) = filled(dir.path());
    drop(log);
    let whole = snapshot(dir.path());
    let mut tried = 0;
    // In the first segment, whose end the second one names, and in the last one, where frame 6 proves frame 5.
    for index in [0, 1, 2, 4] {
        let start = starts[index];
        let path = segment_path(dir.path(), start.segment);
        let len = if index == 0 { frame_len(body(&[1; 1000]).0.bytes.len()) } else { 200 };
        for at in start.offset..start.offset + len {
            edit(&path, |bytes| bytes[at as usize] ^= 1 << (at % 8));
            let before = snapshot(dir.path());
            assert_damaged(open(dir.path()), &path, Some(start.offset));
            assert_eq!(snapshot(dir.path()), before);
            let (scanned, found) = findings(dir.path());
            assert_eq!((found.len(), found[0].offset), (1, Some(start.offset)), "{found:?}");
            assert_eq!((found[0].file.as_deref(), scanned.frames), (Some(path.as_path()), 5));
            fs::write(&path, &whole[&path]).unwrap();
            tried += 1;
        }
    }
    println!("{tried} flips");
    assert_eq!(open(dir.path()).unwrap().frames.len(), 6);
}

#[test]
fn verify_reports_every_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (log, starts) = filled(dir.path());
    drop(log);
    assert!(findings(dir.path()).1.is_empty());
    for index in [0, 2, 4] {
        let start = starts[index];
        edit(&segment_path(dir.path(), start.segment), |bytes| bytes[start.offset as usize + 100] ^= 1);
    }
    let ledger = dir.path().join("ledger");
    edit(&ledger, |bytes| bytes[4096 + 10] ^= 1);
    let (scanned, found) = findings(dir.path());
    let offsets: Vec<Option<u64>> = found.iter().map(|finding| finding.offset).collect();
    let at = |index: usize| Some(starts[index].offset);
    assert_eq!(offsets, [Some(4096), at(0), at(2), at(4)]);
    assert_eq!(scanned.frames, 3);

    // The newer slot alone names the second segment: the older one does not match the log.
    edit(&ledger, |bytes| (bytes[4096 + 10], bytes[10]) = (bytes[4096 + 10] ^ 1, bytes[10] ^ 1));
    let (_, found) = findings(dir.path());
    let files: Vec<Option<PathBuf>> = found.iter().map(|finding| finding.file.clone()).collect();
    let [first, second] = [1, 2].map(|id| Some(segment_path(dir.path(), id)));
    assert_eq!(files, [Some(ledger), second, first]);
}

#[test]
fn a_segment_that_is_missing_swapped_cut_or_empty_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (log, starts) = filled(dir.path());
    drop(log);
    let whole = snapshot(dir.path());
    let paths = [segment_path(dir.path(), 1), segment_path(dir.path(), 2)];
    for path in &paths {
        fs::remove_file(path).unwrap();
        assert_damaged(open(dir.path()), path, None);
        assert_eq!(findings(dir.path()).1.len(), 1);
        restore(dir.path(), &whole);

        fs::write(path, b"").unwrap();
        assert_damaged(open(dir.path()), path, Some(0));
        restore(dir.path(), &whole);

        for at in 0..128 {
            edit(path, |bytes| bytes[at] ^= 0x20);
            assert_damaged(open(dir.path()), path, Some(0));
            restore(dir.path(), &whole);
        }
        edit(path, |bytes| bytes[..4096].fill(0));
        assert_damaged(open(dir.path()), path, Some(0));
        restore(dir.path(), &whole);
    }
    fs::write(&paths[0], &whole[&paths[1]]).unwrap();
    fs::write(&paths[1], &whole[&paths[0]]).unwrap();
    assert_damaged(open(dir.path()), &paths[0], Some(0));
    restore(dir.path(), &whole);

    for (path, frame) in [(&paths[0], starts[2]), (&paths[1], starts[4])] {
        edit(path, |bytes| bytes.truncate(frame.offset as usize + 30));
        let at = if path == &paths[0] { frame.offset } else { frame.offset + 30 };
        assert_damaged(open(dir.path()), path, Some(at));
        assert!(!findings(dir.path()).1.is_empty());
        restore(dir.path(), &whole);
    }
    edit(&paths[1], |bytes| bytes.truncate(bytes.len() - 1));
    assert_damaged(open(dir.path()), &paths[1], Some(4095));
}

#[test]
fn what_the_ledger_proves_must_be_there() {
    let changes: [fn(&mut LedgerState, LogPos); 3] = [
        |state, end| state.sealing_upto = Upto { key: 6, pos: end },
        |state, end| state.synced_upto = end,
        |state, end| state.clean = Some(CleanEnd { next_key: 7, last_key: 6, end }),
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        let (log, starts) = filled(dir.path());
        let end = log.end();
        log.ledger.lock().update(|state| change(state, end)).unwrap();
        drop(log);
        let path = segment_path(dir.path(), 2);
        let last = starts[5].offset;
        edit(&path, |bytes| bytes[last as usize..].fill(0));
        assert_damaged(open(dir.path()), &path, Some(last));
        assert_eq!(findings(dir.path()).1.len(), 1);
    }
}

#[test]
fn an_older_ledger_never_loses_commits() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    let mut log = create(dir.path());
    let fresh = fs::read(&ledger).unwrap();
    commit(&mut log, 1, &[1; 1000]);
    log.close(2).unwrap();
    let closed = fs::read(&ledger).unwrap();
    let mut log = open(dir.path()).unwrap().log;
    commit(&mut log, 2, &[2; 1000]);
    drop(log);
    let whole = snapshot(dir.path());

    // Closed, says the older one, before commit 2: it is found all the same, as after an unclean stop.
    fs::write(&ledger, &closed).unwrap();
    let opened = open(dir.path()).unwrap();
    assert_eq!((opened.frames.len(), opened.recovery.lineage_changed), (2, true));
    assert!(opened.recovery.next_key > 2);

    // Commits in a segment that the older one does not list.
    restore(dir.path(), &whole);
    let mut log = open(dir.path()).unwrap().log;
    for key in 3..=7 {
        commit(&mut log, key, &[key as u8; 1000]);
    }
    let segments = log.segments();
    drop(log);
    let later = snapshot(dir.path());
    for old in [&fresh, &closed, &whole[&ledger]] {
        restore(dir.path(), &later);
        fs::write(&ledger, old).unwrap();
        let before = snapshot(dir.path());
        match open(dir.path()) {
            Err(Error::Damaged { file, .. }) => {
                assert!(segments.iter().any(|id| file == segment_path(dir.path(), *id)))
            }
            Err(error) => panic!("{error}"),
            Ok(opened) => panic!("{} frames", opened.frames.len()),
        }
        assert_eq!(snapshot(dir.path()), before);
    }
}

/// With bytes behind the end and more spares than are kept, so that whoever changes something here is seen.
fn assert_refused_untouched(dir: &Path, applied: Upto, file: &Path, offset: Option<u64>) {
    for id in 100..104 {
        fs::write(dir.join("log").join(FileName::Spare(id).to_string()), b"spare").unwrap();
    }
    edit(&segment_path(dir, 2), |bytes| bytes[4000..].fill(7));
    let before = snapshot(dir);
    assert_damaged(open_on(Arc::new(OsVfs), dir, applied), file, offset);
    assert_eq!(snapshot(dir), before);
}

#[test]
fn a_position_within_a_frame_is_damage_before_anything_is_changed() {
    for place in [8, 200, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let (log, starts) = filled(dir.path());
        let within = LogPos { offset: starts[5].offset + place, ..starts[5] };
        log.ledger.lock().update(|state| state.synced_upto = within).unwrap();
        drop(log);
        let path = segment_path(dir.path(), 2);
        let at = Some(starts[5].offset);
        assert_refused_untouched(dir.path(), Upto::default(), &path, at);
        let (_, found) = findings(dir.path());
        assert_eq!((found.len(), found[0].file.as_ref(), found[0].offset), (1, Some(&path), at), "{found:?}");
    }
}

#[test]
fn an_index_store_that_ends_within_a_commit_is_damage_before_anything_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = filled(dir.path());
    let (start, (body, body_crc)) = (log.end(), body(b"two keys"));
    log.append(&[NewFrame { body: &body.bytes, body_crc, count: 2, base: 7, time_ms: 1 }]).unwrap();
    drop(log);
    let applied = Upto { key: 7, pos: start };
    assert_refused_untouched(dir.path(), applied, &segment_path(dir.path(), 2), Some(start.offset));
}

#[test]
fn keys_far_beyond_the_lease_are_damage_before_anything_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = filled(dir.path());
    append(&mut log, &[(1 << 40, b"far beyond")]).unwrap();
    drop(log);
    assert_refused_untouched(dir.path(), Upto::default(), &dir.path().join("ledger"), None);
}
