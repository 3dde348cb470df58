//! The tests of the tests: bugs that are planted one at a time, each with a test that must pass without it and fail with
//! it. `make planted` prints the list.

mod crashes;
mod lab;
mod reads;
mod seals;
mod writes;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidelog::testing::{Bug, with};

use crate::support::Suite;

macro_rules! planted {
    ($($bug:ident => $module:ident :: $test:ident,)*) => {
        /// Each bug, and the test that finds it.
        const PLANTED: &[(Bug, &str, fn())] =
            &[$((Bug::$bug, concat!(stringify!($module), "::", stringify!($test)), $module::$test)),*];
    };
}

planted! {
    AckBeforeSync => writes::what_is_acknowledged_survives,
    VisibleBeforeSync => writes::nothing_is_visible_before_its_sync,
    VisibleBeforeInTail => writes::what_is_acknowledged_can_be_read,
    ConflictBeforeSync => writes::a_conflict_names_what_survives,
    SyncRetried => writes::a_failed_sync_acknowledges_nothing,
    SyncFailureForgotten => writes::a_failed_sync_is_the_last,
    FailedKeysReused => writes::keys_of_a_failed_commit_are_burnt,
    DeletionNotCounted => writes::a_dataset_that_was_deleted_begins_anew,
    TimeGoesBack => writes::commit_times_never_go_back,
    LockIgnored => writes::a_second_opener_is_refused,
    WatchRegisteredLate => writes::a_watcher_misses_nothing,
    AckGoesBack => writes::an_acknowledgement_is_not_taken_back,
    SegmentNameNotSynced => crashes::segments_survive_with_their_names,
    RecycledBeforeFlush => crashes::a_crash_amid_a_seal_loses_nothing,
    AppliedBeforeFlush => crashes::a_crash_amid_a_seal_loses_nothing,
    LedgerSameSlot => crashes::a_crash_amid_a_seal_loses_nothing,
    LedgerNotSynced => crashes::segments_survive_with_their_names,
    SealingNotNoted => crashes::rot_under_a_seal_is_refused,
    RotTakenForTorn => crashes::rot_amid_the_log_is_refused,
    BodyUnchecked => crashes::a_garbled_body_is_never_served,
    TornNotKept => crashes::a_torn_tail_is_kept_aside,
    RecoveredNotSynced => crashes::what_recovery_serves_is_durable,
    WindowNotFlushed => crashes::what_a_window_lost_lives_no_more,
    LeaseIgnored => crashes::a_key_that_was_lost_is_not_minted_again,
    NoKeyJump => crashes::a_lying_disk_brings_no_key_twice,
    IdempotencyNotSealed => seals::a_repeat_is_known_after_its_seal,
    MarksNotSealed => seals::what_is_superseded_is_passed_over,
    BornByOp => seals::a_client_is_told_of_every_delete,
    FloorNotMoved => seals::a_reader_below_a_dropped_tombstone_is_stale,
    HistoryFloorNotMoved => seals::a_reader_below_dropped_history_is_stale,
    NewestDropped => seals::compaction_keeps_what_lives,
    IndexNotVerified => seals::a_verification_misses_no_mark,
    RecentKept => seals::a_page_has_what_was_sealed_since_the_last_one,
    StretchKept => seals::a_window_goes_on_over_what_was_compacted,
    BoundIgnored => reads::a_window_ends_at_its_bound,
    CursorUnchecked => reads::a_cursor_with_a_wrong_bit_is_refused,
    ChunkUnchecked => reads::a_chunk_with_a_wrong_bit_is_refused,
    LineageIgnored => reads::a_restored_store_refuses_what_it_never_said,
    RestoreKeepsLineage => reads::a_restored_store_refuses_what_it_never_said,
}

/// How a test ends.
fn passes(test: fn()) -> bool {
    catch_unwind(AssertUnwindSafe(test)).is_ok()
}

#[test]
fn every_planted_bug_is_caught() {
    let mut suite = Suite::begin("planted bugs", "25");
    let loud = std::panic::take_hook();
    let quiet = std::env::var_os("PLANTED").is_none();
    let only = std::env::var("PLANTED").unwrap_or_default();
    if quiet {
        // A test that fails is what is wanted.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let mut missed = Vec::new();
    for (bug, name, test) in PLANTED {
        if !format!("{bug:?}").contains(&only) {
            continue;
        }
        let verdict = match (passes(*test), with(*bug, || passes(*test))) {
            (true, false) => "caught",
            (true, true) => "NOT CAUGHT",
            (false, _) => "the test fails without the bug",
        };
        println!("planted: {:24} {name:56} {verdict}", format!("{bug:?}"));
        suite.ran(1);
        suite.fired(1);
        if verdict != "caught" {
            missed.push(format!("{bug:?}: {name}: {verdict}"));
        }
    }
    if quiet {
        std::panic::set_hook(loud);
    }
    assert!(missed.is_empty(), "{missed:#?}");
    suite.finish();
}
