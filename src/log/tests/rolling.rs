use super::*;

#[test]
fn the_log_rolls_and_recovers_over_several_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path());
    for key in 1..=20 {
        commit(&mut log, key, &[key as u8; 1000]);
    }
    append(&mut log, &[(21, &[21; 900]), (22, &[22; 900]), (23, &[23; 900])]).unwrap();
    roll(&mut log).unwrap();
    roll(&mut log).unwrap();
    let segments = log.segments();
    assert!(segments.len() >= 8, "{segments:?}");
    assert_eq!(log.log_bytes(), segments.len() as u64 * SEGMENT_BYTES);
    drop(log);
    let opened = open(dir.path()).unwrap();
    let keys: Vec<u64> = opened.frames.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, (1..=23).collect::<Vec<u64>>());
    assert_eq!(opened.frames[..20], expected((1..=20).map(|key| (key, vec![key as u8; 1000]))));
    assert_eq!(findings(dir.path()).0.frames, 23);
}

#[test]
fn a_frame_larger_than_a_segment_gets_a_larger_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path());
    commit(&mut log, 1, b"small");
    commit(&mut log, 2, &[2; 700_000]);
    commit(&mut log, 3, b"small");
    assert_eq!(log.segments(), [1, 2, 3]);
    drop(log);
    let opened = open(dir.path()).unwrap();
    assert_eq!(opened.frames, expected([(1, b"small".to_vec()), (2, vec![2; 700_000]), (3, b"small".to_vec())]));
    let mut log = opened.log;
    commit(&mut log, 1 << 40, b"x");
    log.recycle(LogPos { segment: log.end().segment, offset: 0 }).unwrap();
    // The large file is not worth keeping.
    assert!(names(dir.path(), "spare-").len() <= 2);
    let lens = snapshot(&dir.path().join("log")).into_values().map(|bytes| bytes.len() as u64);
    assert!(lens.max().unwrap() <= SEGMENT_BYTES);
}

#[test]
fn recycled_space_never_validates() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path());
    let mut key = 0;
    let mut upto = Upto::default();
    let mut reused = 0;
    for _ in 0..6 {
        for _ in 0..12 {
            key += 1;
            let pos = commit(&mut log, key, &[key as u8; 600]);
            upto = Upto { key, pos };
        }
        roll(&mut log).unwrap();
        log.ledger.lock().update(|state| (state.sealing_upto, state.applied_upto) = (upto, upto)).unwrap();
        log.recycle(upto.pos).unwrap();
        assert_eq!(log.segments().first(), Some(&upto.pos.segment));
        assert!(names(dir.path(), "spare-").len() <= 2);
        drop(log);
        let opened = open_on(Arc::new(OsVfs), dir.path(), upto).unwrap();
        assert_eq!((opened.frames.len(), opened.recovery.last_key), (0, key));
        assert!(findings(dir.path()).1.is_empty());
        log = opened.log;
        let new = fs::read(log.path_of(log.end().segment)).unwrap();
        reused += u32::from(new[128..].iter().any(|byte| *byte != 0));
        key = opened.recovery.next_key;
        log.ledger.lock().update(|state| state.lease = key + 1000).unwrap();
    }
    assert!(reused >= 3, "only {reused} segments began as spares with old content");
}

#[test]
fn a_pin_blocks_recycling() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path());
    for key in 1..=8 {
        commit(&mut log, key, &[0; 1000]);
    }
    let before = log.segments();
    let pin = log.pin();
    let second = log.pin();
    log.recycle(log.end()).unwrap();
    drop(pin);
    log.recycle(log.end()).unwrap();
    assert_eq!(log.segments(), before);
    assert!(before.iter().all(|id| log.path_of(*id).exists()));
    drop(second);
    log.recycle(log.end()).unwrap();
    assert_eq!(log.segments(), [log.end().segment]);
    assert_eq!(log.ledger.lock().state().segments, log.segments());
}

#[test]
fn files_that_nothing_lists_are_tidied_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path());
    commit(&mut log, 1, b"kept");
    log.close(2).unwrap();
    drop(log);
    for id in [7, 8, 9] {
        fs::write(segment_path(dir.path(), id), [1; 100]).unwrap();
    }
    for id in 20..26 {
        fs::write(dir.path().join("log").join(FileName::Spare(id).to_string()), [1; 100]).unwrap();
    }
    fs::write(dir.path().join("log").join("someone's notes"), b"stay").unwrap();
    let opened = open(dir.path()).unwrap();
    assert_eq!(opened.frames, expected([(1, b"kept".to_vec())]));
    assert_eq!(names(dir.path(), "0"), [FileName::Segment(1).to_string().as_str()]);
    assert_eq!((names(dir.path(), "spare-").len(), names(dir.path(), "someone").len()), (2, 1));
}

#[test]
fn syncs_do_not_wait_for_appends_and_appends_not_for_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = create(dir.path());
    let first = append(&mut log, &[(1, b"one")]).unwrap();
    let point = log.sync_point();
    let end = append(&mut log, &[(2, b"two")]).unwrap();
    roll(&mut log).unwrap();
    append(&mut log, &[(3, b"three")]).unwrap();
    // Of a segment that was left behind.
    point.sync().unwrap();
    assert!(first < end && end < log.end());
}
