//! What a workload consists of.

use tidelog::testing::sim::Random;

/// One step; its details follow from the run's own random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch of a few changes, perhaps over several datasets.
    Append,
    /// One that is large enough to fill segments.
    AppendMuch,
    /// With an expectation, which may fail.
    Expect,
    /// With an idempotency id, and again.
    Idempotent,
    /// Acknowledged before its sync.
    Buffered,
    /// Several in flight.
    Together,
    DeleteDataset,
    SetRetention,
    Ack,
    Seal,
    Compact,
    Backup,
    /// Clients read on.
    Read,
    PassTime,
    /// Close and open.
    Reopen,
}

use Step::*;

/// Everything once, and what matters in many orders.
pub const SCRIPT: &[Step] = &[
    Append,
    Append,
    Read,
    Expect,
    Idempotent,
    Append,
    Together,
    Read,
    Ack,
    Seal,
    Append,
    DeleteDataset,
    Append,
    Read,
    SetRetention,
    AppendMuch,
    AppendMuch,
    AppendMuch,
    AppendMuch,
    Read,
    Seal,
    Append,
    Compact,
    Expect,
    Idempotent,
    Buffered,
    Append,
    Backup,
    AppendMuch,
    AppendMuch,
    Seal,
    Ack,
    Read,
    Append,
    Compact,
    Buffered,
    DeleteDataset,
    Append,
    Reopen,
    Append,
    AppendMuch,
    AppendMuch,
    Seal,
    Expect,
    Read,
    Append,
];

/// Any steps, appends more often than others.
pub fn random_steps(random: &mut Random, count: usize) -> Vec<Step> {
    const OFTEN: [Step; 24] = [
        Append,
        Append,
        Append,
        Append,
        Append,
        AppendMuch,
        AppendMuch,
        AppendMuch,
        Expect,
        Expect,
        Idempotent,
        Buffered,
        Buffered,
        Together,
        Together,
        DeleteDataset,
        SetRetention,
        Ack,
        Seal,
        Seal,
        Compact,
        Read,
        Read,
        PassTime,
    ];
    let mut steps: Vec<Step> = (0..count).map(|_| random.pick(&OFTEN)).collect();
    if random.chance(20) {
        steps.push(Backup);
    }
    if random.chance(20) {
        steps.insert(count / 2, Reopen);
    }
    steps
}
