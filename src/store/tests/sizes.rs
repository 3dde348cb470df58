use super::*;

/// Kibibytes that this process holds in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_stays_near_the_budget_whatever_is_stored() {
    let Place { root: _root, store } = place();
    let base = resident_kib();
    let mut most = (0, 0);
    for round in 0..300u64 {
        let mut changes = store.changes(0);
        for i in 0..1000 {
            let key = round * 1000 + i + 1;
            let name = format!("entity-{:08x}", key.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
            changes.put_newest(1, name.as_bytes(), &version(&entry(key, Op::Update, name.as_bytes(), b"payload")));
            changes.put_mark(1, key, key + 1);
        }
        changes.set_applied(&applied(round)).unwrap();
        store.commit(changes).unwrap();
        if round % 20 == 19 {
            store.flush().unwrap();
        }
        most = (most.0.max(store.memory_bytes()), most.1.max(resident_kib()));
    }
    let snapshot = store.snapshot();
    assert_eq!(snapshot.entities(1, None).count() as u64 + snapshot.marks(1, 0).count() as u64, 600_000);
    let budget = OPTIONS.memory as u64;
    most.0 = most.0.max(store.memory_bytes());
    println!("store says {} KiB, the process grew by {} KiB", most.0 >> 10, most.1 - base);
    assert!(most.0 < budget * 3 / 2, "{} bytes for a budget of {budget}", most.0);
    assert!(store.disk_bytes() > 1 << 20);
}

const PAYLOAD_BYTES: u64 = 40_000;

#[test]
fn the_space_of_dropped_chunks_comes_back() {
    let Place { root: _root, store } = place();
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    let mut record = DatasetRecord { id: 1, ..DatasetRecord::default() };
    let mut most = 0;
    for round in 0..60u64 {
        let mut changes = store.changes(0);
        for i in 0..20 {
            let key = round * 20 + i + 1;
            let payload: Vec<u8> = (0..PAYLOAD_BYTES).map(|_| random()).collect();
            seal(&mut changes, &mut record, &[entry(key, Op::Update, b"entity", &payload)]);
            if key > 100 {
                changes.delete_chunk(1, key - 100);
            }
        }
        store.commit(changes).unwrap();
        store.flush().unwrap();
        most = most.max(store.disk_bytes());
    }
    assert_eq!(store.snapshot().chunks(1, 0, 0).count(), 100);
    let live = 100 * PAYLOAD_BYTES;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while store.disk_bytes() > live * 4 && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    println!("{live} bytes live, {most} at most, {} in the end; 48000000 were written", store.disk_bytes());
    assert!(most > live, "the payloads were compressed");
    assert!(store.disk_bytes() <= live * 4, "{} bytes for {live} live ones", store.disk_bytes());
}
