//! Moving the history floor costs what is dropped, not what is there.

use tidelog::{Batch, Cursor, Durability, Limits, Options, Retention, View};

use crate::support::{entries_cap, store};

/// Entities of the dataset, each written once.
const QUIET: usize = 980_000;
/// Entries of one key range that supersede one another: the whole of it is 2 % of the dataset.
const BUSY: usize = 20_000;
const BATCH: usize = 1_000;

#[test]
fn one_percent_in_one_key_range_touches_at_most_five_percent_of_the_bytes() {
    let options = Options::default().memory(64 << 20).background_compaction(false).retention(Retention::unlimited());
    let options = options.grace(std::time::Duration::ZERO, 1 << 30);
    let (_dir, engine) = store(options);
    let busy = QUIET / 2..QUIET / 2 + BUSY;
    let entity = |n: usize| if busy.contains(&n) { format!("b{}", n % 100) } else { format!("q{n:08}") };
    for from in (0..QUIET + BUSY).step_by(BATCH) {
        let mut batch = Batch::new();
        for n in from..from + BATCH {
            // Payloads that do not compress to nothing.
            let payload: Vec<u8> =
                (0u64..4).flat_map(|i| (n as u64 ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
            batch.put("d", entity(n), payload);
        }
        engine.append_with(batch, Durability::Buffered).expect("a commit");
    }
    engine.seal().expect("a seal");
    let before = engine.stat("d").expect("stat");
    assert_eq!((before.entries, before.superseded), (1_000_000, BUSY as u64 - 100));

    // The dataset's chunks hold about these bytes: the payloads do not compress, and the rest makes up for itself.
    let total = before.bytes;
    let keep = before.superseded - 10_000;
    let retention = Retention { history: entries_cap(keep), ..Retention::unlimited() };
    engine.set_retention("d", retention).expect("a retention");
    let report = engine.compact(Some(b"d")).expect("a compaction");
    println!("{total} bytes of entries; {report:?}");
    assert!((10_000..11_000).contains(&report.superseded_dropped), "{} dropped", report.superseded_dropped);
    assert!(report.bytes_read > 0, "the report counts no bytes");
    let (read, written) = (report.bytes_read, report.bytes_written);
    assert!(read + written <= total / 20, "{read} bytes read and {written} written of {total}");

    let page = engine.changes("d", &Cursor::after(before.head), Limits::default().view(View::Every)).expect("a page");
    assert!(page.entries.is_empty());
    assert_eq!(engine.stat("d").expect("stat").head, before.head);
}
