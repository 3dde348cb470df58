//! What the cases came across. A test that never met what it is for has shown nothing.

use tidelog::StaleReason;

/// What one case saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub dropped: bool,
    pub moved_bound: bool,
    pub trimmed: bool,
    pub history_trimmed: bool,
    pub other_lineage: bool,
    pub recreated: bool,
    pub future: bool,
    pub malformed: bool,
    pub seal: bool,
    pub reopen: bool,
    pub recreated_entity: bool,
    pub delete_across_pages: bool,
    pub conflict: bool,
    pub repeated: bool,
    pub window_dropped: bool,
    pub restored: bool,
    pub buffered: bool,
    pub verified: bool,
    pub background: bool,
}

impl Seen {
    pub fn stale(&mut self, reason: StaleReason) {
        match reason {
            StaleReason::Trimmed => self.trimmed = true,
            StaleReason::HistoryTrimmed => self.history_trimmed = true,
            StaleReason::OtherLineage => self.other_lineage = true,
            StaleReason::Recreated => self.recreated = true,
            StaleReason::Future => self.future = true,
            StaleReason::Malformed => self.malformed = true,
            other => panic!("a reason that this test does not know: {other:?}"),
        }
    }

    fn rows(self) -> [(&'static str, bool); 19] {
        [
            ("a compaction that dropped entries", self.dropped),
            ("a moved bound", self.moved_bound),
            ("stale: trimmed", self.trimmed),
            ("stale: history trimmed", self.history_trimmed),
            ("stale: other lineage", self.other_lineage),
            ("stale: re-created", self.recreated),
            ("stale: future", self.future),
            ("stale: malformed", self.malformed),
            ("a seal", self.seal),
            ("a reopen", self.reopen),
            ("a re-created entity", self.recreated_entity),
            ("a delete across pages", self.delete_across_pages),
            ("a conflict", self.conflict),
            ("an idempotent repeat", self.repeated),
            ("a capped log that was trimmed", self.window_dropped),
            ("a backup and its restore", self.restored),
            ("a buffered commit", self.buffered),
            ("a verified store", self.verified),
            ("background compaction", self.background),
        ]
    }
}

/// How many cases saw what.
#[derive(Debug, Default)]
pub struct Coverage {
    cases: u64,
    counts: [u64; 19],
}

impl Coverage {
    pub fn add(&mut self, seen: Seen) {
        self.cases += 1;
        for (count, (_, saw)) in self.counts.iter_mut().zip(seen.rows()) {
            *count += u64::from(saw);
        }
    }

    /// Prints the counts; the names of what was never seen.
    pub fn report(&self) -> Vec<&'static str> {
        println!("{} cases against the model, all exact; of them saw", self.cases);
        let rows = Seen::default().rows();
        for (count, (name, _)) in self.counts.iter().zip(rows) {
            println!("{count:>8}  {name}");
        }
        rows.iter().zip(self.counts).filter(|(_, count)| *count == 0).map(|((name, _), _)| *name).collect()
    }
}
