//! A consumer that was forgotten begins anew.

use tidelog::{Engine, Limits};

use crate::support::{put, small, store};

fn fetched(engine: &Engine) -> usize {
    engine.consumer_fetch("c", "d", Limits::default()).expect("a page").entries.len()
}

#[test]
fn a_consumer_that_was_removed_begins_at_zero_again() {
    for seal_between in [false, true] {
        let (_dir, engine) = store(small());
        for n in 0..10 {
            put(&engine, "d", &format!("e{n}"), "x");
        }
        assert_eq!(fetched(&engine), 10);
        engine.consumer_ack("c", "d", engine.stat("d").expect("stat").head).expect("an acknowledgement");
        engine.seal().expect("a seal");
        engine.consumer_remove("c", "d").expect("it is forgotten");
        if seal_between {
            engine.seal().expect("a seal");
        }
        for _ in 0..2 {
            assert_eq!(fetched(&engine), 10, "nothing of it is remembered");
            assert_eq!(engine.consumers(None, 10).expect("consumers")[0].position.get(), 0);
        }
        engine.seal().expect("a seal");
        assert_eq!(fetched(&engine), 10, "nor after a seal");
    }
}

#[test]
fn consumers_are_listed_page_by_page() {
    let (_dir, engine) = store(small());
    for n in 0..30 {
        put(&engine, &format!("d{n:02}"), "e", "x");
    }
    let ack = |name: &str, n: usize| {
        let dataset = format!("d{n:02}");
        engine.consumer_ack(name, &dataset, engine.visible()).expect("an acknowledgement");
    };
    // Datasets in another order than their ids, some sealed, some not, some removed in the tail.
    (0..30).rev().filter(|n| n % 2 == 0).for_each(|n| ["b", "a", "c"].iter().for_each(|name| ack(name, n)));
    engine.seal().expect("a seal");
    (0..30).filter(|n| n % 2 == 1).for_each(|n| ["b", "a"].iter().for_each(|name| ack(name, n)));
    for n in [0, 4, 6] {
        engine.consumer_remove("b", format!("d{n:02}")).expect("it is forgotten");
    }
    let all = engine.consumers(None, usize::MAX).expect("consumers");
    assert_eq!(all.len(), 30 + 27 + 15);
    let mut paged: Vec<tidelog::Consumer> = Vec::new();
    loop {
        let after = paged.last().map(|last| (last.name.as_str(), last.dataset.as_slice()));
        let page = engine.consumers(after, 7).expect("consumers");
        if page.is_empty() {
            break;
        }
        assert!(page.len() == 7 || paged.len() + page.len() == all.len());
        paged.extend(page);
    }
    let keys =
        |rows: &[tidelog::Consumer]| rows.iter().map(|row| (row.name.clone(), row.dataset.clone())).collect::<Vec<_>>();
    assert!(keys(&all).is_sorted());
    assert_eq!(keys(&paged), keys(&all));
}
