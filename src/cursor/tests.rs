use proptest::prelude::*;

use super::*;
use crate::golden;

const MIDDLE: Exact = Exact {
    lineage: 0x0123_4567_89ab_cdef,
    incarnation: 7,
    start: 100,
    position: 1_000,
    bound: 70_000,
    first_bound: 60_000,
    view: Some(View::Latest),
};
const DONE: Exact = Exact { position: 70_000, view: None, ..MIDDLE };
const HIGHEST: Exact = Exact {
    lineage: u64::MAX,
    incarnation: MAX_KEY,
    start: 0,
    position: MAX_KEY - 1,
    bound: MAX_KEY,
    first_bound: 0,
    view: Some(View::Every),
};

fn samples() -> Vec<(&'static str, Cursor)> {
    vec![
        ("cursor-oldest.bin", Cursor::oldest()),
        ("cursor-head.bin", Cursor::head()),
        ("cursor-start.bin", Cursor::START),
        ("cursor-after.bin", Cursor::after(SyncKey::new(1_234_567))),
        ("cursor-since-time.bin", Cursor::since_time(1_700_000_000_000)),
        ("cursor-exact-middle.bin", Cursor(Kind::Exact(MIDDLE))),
        ("cursor-exact-every.bin", Cursor(Kind::Exact(Exact { view: Some(View::Every), ..MIDDLE }))),
        ("cursor-exact-done.bin", Cursor(Kind::Exact(DONE))),
        ("cursor-exact-highest.bin", Cursor(Kind::Exact(HIGHEST))),
    ]
}

fn assert_malformed(result: Result<Cursor>, what: &dyn fmt::Debug) {
    match result {
        Err(Error::Stale(stale)) => {
            let expected = Stale { reason: StaleReason::Malformed, dataset: Vec::new(), position: 0, floor: 0 };
            assert_eq!(stale, expected, "{what:?}");
        }
        other => panic!("{what:?} gave {other:?}"),
    }
}

/// A body with its checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

fn exact_body(varints: [u64; 5], view: &[u8]) -> Vec<u8> {
    let mut body = vec![VERSION, EXACT];
    body.extend_from_slice(&9u64.to_le_bytes());
    varints.into_iter().for_each(|value| put_varint(&mut body, value));
    body.extend_from_slice(view);
    sealed(&body)
}

#[test]
fn golden_cursors_are_written_and_read_as_ever() {
    for (name, cursor) in samples() {
        let bytes = cursor.to_bytes();
        golden::check(name, &bytes);
        assert_eq!(Cursor::from_bytes(&bytes).unwrap(), cursor, "{name}");
    }
}

#[test]
fn texts_are_as_ever() {
    let texts: Vec<String> = samples().iter().map(|(_, cursor)| cursor.to_string()).collect();
    assert_eq!(
        texts,
        [
            "cAQEoE8Uv",
            "cAQKSQsy2",
            "0",
            "1234567",
            "cAQSA0JX_vDGQVCrn",
            "cAQXvzauJZ0UjAQfoB4QHiJsEkE4B3tAMzQ",
            "cAQXvzauJZ0UjAQfoB4QHiJsEkE4CZIEFVA",
            "cAQXvzauJZ0UjAQfwogSMogQAkE4xVDO0",
            "cAQX_____________________f_7_________f_7_________fwH__________38Ce60QAg"
        ]
    );
    for ((_, cursor), text) in samples().into_iter().zip(texts) {
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor, "{text}");
    }
}

#[test]
fn positions_are_told_where_there_is_one() {
    assert_eq!(Cursor::START.position(), Some(SyncKey::ZERO));
    assert_eq!(Cursor(Kind::Exact(MIDDLE)).position(), Some(SyncKey::new(1_000)));
    assert_eq!(Cursor::after(SyncKey::new(5)).position(), Some(SyncKey::new(5)));
    assert_eq!(Cursor::after(SyncKey::new(u64::MAX)).position(), Some(SyncKey::new(MAX_KEY)));
    for without in [Cursor::oldest(), Cursor::head(), Cursor::since_time(3)] {
        assert_eq!(without.position(), None);
    }
}

#[test]
fn every_damaged_bit_and_every_cut_is_refused() {
    for (name, cursor) in samples() {
        let bytes = cursor.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_malformed(Cursor::from_bytes(&damaged), &(name, bit));
        }
        for len in 0..bytes.len() {
            assert_malformed(Cursor::from_bytes(&bytes[..len]), &(name, len));
        }
        assert_malformed(Cursor::from_bytes(&[&bytes[..], &[0]].concat()), &name);
    }
}

#[test]
fn bytes_with_a_good_checksum_are_refused_if_they_say_nonsense() {
    let long = [&[VERSION, AFTER][..], &[0; MAX_CURSOR_BYTES]].concat();
    for body in [
        &[][..],
        &[VERSION],
        &[0, HEAD],
        &[2, HEAD],
        &[VERSION, 0],
        &[VERSION, 6],
        &[VERSION, HEAD, 0],
        &[VERSION, AFTER],
        &[VERSION, AFTER, 0x80, 0x00],
        &[VERSION, AFTER, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[VERSION, EXACT],
        &long,
    ] {
        assert_malformed(Cursor::from_bytes(&sealed(body)), &body);
    }
    // incarnation, position, position - start, bound - position, bound - first_bound, view
    assert!(Cursor::from_bytes(&exact_body([1, 5, 5, 1, 6], &[VIEW_EVERY])).is_ok());
    assert!(Cursor::from_bytes(&exact_body([1, 5, 5, 0, 5], &[])).is_ok());
    for (varints, view) in [
        ([1, 5, 6, 1, 0], &[VIEW_EVERY][..]),
        ([1, 5, 5, 1, 7], &[VIEW_EVERY]),
        ([1, 5, 5, 1, 0], &[]),
        ([1, 5, 5, 1, 0], &[0]),
        ([1, 5, 5, 1, 0], &[3]),
        ([1, 5, 5, 0, 0], &[VIEW_LATEST]),
        ([MAX_KEY + 1, 5, 5, 0, 0], &[]),
        ([1, MAX_KEY + 1, 5, 0, 0], &[]),
        ([1, MAX_KEY, 5, 1, 0], &[VIEW_LATEST]),
        ([1, 5, 5, u64::MAX, 0], &[VIEW_LATEST]),
    ] {
        assert_malformed(Cursor::from_bytes(&exact_body(varints, view)), &(varints, view));
    }
}

#[test]
fn text_that_display_does_not_write_is_refused() {
    let head = Cursor::head().to_string();
    let after = URL_SAFE_NO_PAD.encode(Cursor::after(SyncKey::new(5)).to_bytes());
    let texts = [
        "",
        " ",
        "+1",
        "-1",
        "01",
        "00",
        " 1",
        "1 ",
        "1_000",
        "0x10",
        "١",
        "c",
        "C",
        "cc",
        "c=",
        "cAQL",
        "héllo",
        "9223372036854775808",
        "18446744073709551616",
    ];
    let built = [format!("{head}="), format!("{head}A"), format!("{head}\n"), format!(" {head}"), head[1..].to_owned()];
    let others = [head.replace('c', "C"), format!("c{after}"), format!("c{}", "A".repeat(1 << 20))];
    for text in texts.into_iter().map(str::to_owned).chain(built).chain(others) {
        assert_malformed(text.parse(), &text.get(..40).unwrap_or(&text));
    }
    assert_eq!("9223372036854775807".parse::<Cursor>().unwrap(), Cursor::after(SyncKey::new(MAX_KEY)));
}

fn any_cursor() -> impl Strategy<Value = Cursor> {
    let key = prop_oneof![0..300u64, 0..=MAX_KEY, Just(MAX_KEY)];
    let exact = (any::<u64>(), key.clone(), [key.clone(), key.clone(), key.clone(), key.clone()], any::<bool>());
    prop_oneof![
        Just(Cursor::oldest()),
        Just(Cursor::head()),
        key.prop_map(|key| Cursor::after(SyncKey::new(key))),
        any::<u64>().prop_map(Cursor::since_time),
        exact.prop_map(|(lineage, incarnation, [a, b, c, d], every)| {
            let bound = a.max(b).max(c);
            let (start, position) = (a.min(b), a.max(b));
            let view = if every { View::Every } else { View::Latest };
            let view = (position < bound).then_some(view);
            let first_bound = d.min(bound);
            Cursor(Kind::Exact(Exact { lineage, incarnation, start, position, bound, first_bound, view }))
        }),
    ]
}

proptest! {
    #[test]
    fn cursors_round_trip(cursor in any_cursor()) {
        let bytes = cursor.to_bytes();
        prop_assert!(bytes.len() <= MAX_CURSOR_BYTES);
        prop_assert_eq!(Cursor::from_bytes(&bytes).unwrap(), cursor);
        prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
    }

    #[test]
    fn whatever_is_read_is_what_would_be_written(kind in 0..7u8, rest in prop::collection::vec(0..16u8, 0..24)) {
        let bytes = sealed(&[&[VERSION, kind], &rest[..]].concat());
        if let Ok(cursor) = Cursor::from_bytes(&bytes) {
            prop_assert_eq!(cursor.to_bytes(), bytes);
        }
    }
}
