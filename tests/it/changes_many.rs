//! Many datasets in one call: one budget, one bound, nobody starves.

use tidelog::{Cursor, DatasetChanges, Engine, Error, Limits, ManyPage, StaleReason};

use crate::support::{put, small, store};

fn filled(datasets: usize, entries: usize) -> (tempfile::TempDir, Engine, Vec<String>) {
    let (dir, engine) = store(small());
    let names: Vec<String> = (0..datasets).map(|n| format!("d{n}")).collect();
    for n in 0..entries {
        for name in &names {
            put(&engine, name, &format!("e{n}"), "0123456789");
        }
    }
    (dir, engine, names)
}

fn ask(engine: &Engine, names: &[String], cursors: &[Cursor], first: usize, limits: Limits) -> ManyPage {
    let request: Vec<(&[u8], Cursor)> = names.iter().map(String::as_bytes).zip(cursors.iter().copied()).collect();
    engine.changes_many(&request, first, limits).expect("changes_many")
}

fn counts(page: &ManyPage) -> Vec<Option<usize>> {
    let count = |answer: &DatasetChanges| match answer {
        DatasetChanges::Page(page) => Some(page.entries.len()),
        _ => None,
    };
    page.datasets.iter().map(count).collect()
}

#[test]
fn one_budget_is_filled_from_the_index_named() {
    let (_dir, engine, names) = filled(4, 10);
    let start = vec![Cursor::START; 4];
    let page = ask(&engine, &names, &start, 0, Limits::entries(15));
    assert_eq!(counts(&page).iter().flatten().sum::<usize>(), 15);
    assert!(page.more);
    let page = ask(&engine, &names, &start, 2, Limits::entries(15));
    assert!(counts(&page)[2].is_some_and(|count| count > 0), "the dataset asked for first gets something");
    let page = ask(&engine, &names, &start, 0, Limits::default());
    assert_eq!((counts(&page), page.more), (vec![Some(10); 4], false));
    assert_eq!(page.visible, engine.visible());
}

#[test]
fn asking_on_and_on_reaches_everyone() {
    for limits in
        [Limits::entries(1), Limits::entries(7), Limits::entries(1000).bytes(0), Limits::entries(1000).bytes(50)]
    {
        let (_dir, engine, names) = filled(5, 8);
        let (mut cursors, mut first, mut got) = (vec![Cursor::START; 5], 0, [0; 5]);
        for calls in 0.. {
            assert!(calls < 200, "somebody starves: {got:?}");
            let many = ask(&engine, &names, &cursors, first, limits);
            let delivered: usize = counts(&many).iter().flatten().sum();
            assert!(delivered > 0 || !many.more, "a call that delivers nothing");
            for (at, answer) in many.datasets.into_iter().enumerate() {
                if let DatasetChanges::Page(page) = answer {
                    got[at] += page.entries.len();
                    cursors[at] = page.next;
                }
            }
            first = many.next_index;
            if !many.more {
                break;
            }
        }
        assert_eq!(got, [8; 5]);
    }
}

#[test]
fn one_that_fails_does_not_spoil_the_others() {
    let (_dir, engine, mut names) = filled(3, 2);
    names.push("nobody".to_owned());
    let cursors = [Cursor::START, Cursor::after((engine.visible().get() + 1000).into()), Cursor::START, Cursor::START];
    let many = ask(&engine, &names, &cursors, 0, Limits::default());
    assert_eq!(counts(&many), [Some(2), None, Some(2), None]);
    match &many.datasets[1] {
        DatasetChanges::Failed(Error::Stale(stale)) => {
            assert_eq!((stale.reason, stale.dataset.as_slice()), (StaleReason::Future, &b"d1"[..]));
        }
        other => panic!("expected a stale cursor, got {other:?}"),
    }
    assert!(matches!(&many.datasets[3], DatasetChanges::Failed(Error::DatasetNotFound { .. })));
    assert!(!many.more);
}

#[test]
fn what_was_not_reached_says_so() {
    let (_dir, engine, names) = filled(3, 10);
    let many = ask(&engine, &names, &[Cursor::START; 3], 0, Limits::entries(1));
    let reached =
        many.datasets.iter().filter(|answer| matches!(answer, DatasetChanges::Page(p) if !p.entries.is_empty()));
    assert_eq!(reached.count(), 1);
    assert!(many.more);
    let silent = |answer: &&DatasetChanges| matches!(answer, DatasetChanges::Page(page) if page.entries.is_empty() && !page.more);
    assert_eq!(many.datasets.iter().filter(silent).count(), 0, "a dataset with something due looks finished");
}

#[test]
fn an_empty_request_is_answered_or_refused_but_no_panic() {
    let (_dir, engine, _names) = filled(1, 1);
    match engine.changes_many(&[], 0, Limits::default()) {
        Ok(many) => assert!(many.datasets.is_empty() && !many.more),
        Err(error) => assert!(matches!(error, Error::Invalid { .. }), "{error:?}"),
    }
    match engine.changes_many(&[(b"d0", Cursor::START)], 7, Limits::default()) {
        Ok(many) => assert_eq!(counts(&many), [Some(1)]),
        Err(error) => assert!(matches!(error, Error::Invalid { .. }), "{error:?}"),
    }
}
