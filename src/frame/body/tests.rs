use proptest::collection::vec;
use proptest::prelude::*;

use super::super::BodyBuilder;
use super::super::tests::assert_golden;
use super::*;
use crate::types::{Cap, Keep};

fn part<'a>(body: &'a Body, range: &Range<u32>) -> &'a [u8] {
    &body.bytes[range.start as usize..range.end as usize]
}

fn sample() -> (Body, u32) {
    let mut builder = BodyBuilder::new(Some(b"phone"), Some((b"retry-1", [7; 16])));
    let inbox = builder.existing(300);
    let notes = builder.create(b"notes");
    builder.change(notes, Op::Create, b"n1", b"first note");
    builder.change(inbox, Op::Update, b"m1", b"");
    builder.change(inbox, Op::Delete, b"m2", b"");
    let cap = Cap { entries: Some(800), bytes: None, age_ms: None };
    builder.set_retention(notes, Some(&Retention { keep: Keep::Window, history: cap, tombstones: Cap::default() }));
    builder.set_retention(inbox, None);
    builder.ack(inbox, b"worker", 299, 0);
    builder.remove_consumer(inbox, b"gone");
    let drafts = builder.existing(9);
    builder.delete_dataset(drafts);
    assert_eq!((builder.existing(300), builder.existing(9)), (inbox, drafts));
    builder.finish().unwrap()
}

#[test]
fn the_body_is_the_golden_one() {
    let (body, crc) = sample();
    assert_golden("frame-body.bin", &body.bytes);
    assert_eq!(crc, crc32fast::hash(&body.bytes));
    assert_eq!(Body::parse(body.bytes.clone()), Ok(body.clone()));
    assert_eq!(body.count(), 8);
    assert_eq!(part(&body, &body.origin.clone().unwrap()), b"phone");
    assert_eq!(body.datasets[0], DatasetRef::Existing(300));
    assert!(matches!(&body.datasets[1], DatasetRef::New { record: 0, name } if part(&body, name) == b"notes"));
    let last = |index: usize| matches!(body.records[index].kind, RecordKind::Change { last: true, .. });
    assert_eq!((last(0), last(1), last(2)), (true, false, true));
    let RecordKind::Change { entity, payload, .. } = &body.records[0].kind else { panic!("a change") };
    assert_eq!((part(&body, entity), part(&body, payload)), (&b"n1"[..], &b"first note"[..]));
}

#[test]
fn no_prefix_of_a_body_with_the_same_records_parses_and_no_zeros_do() {
    let (body, _) = sample();
    for len in 0..body.bytes.len() {
        assert_ne!(Body::parse(body.bytes.slice(..len)), Ok(body.clone()));
    }
    for len in 0..40 {
        assert!(Body::parse(Bytes::from(vec![0; len])).is_err());
    }
}

#[test]
fn hostile_lengths_and_indexes_are_refused() {
    let start = [LEAD, EXISTING, 5];
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let max_u31 = [0x80, 0x80, 0x80, 0x80, 0x08];
    let cases: Vec<Vec<u8>> = vec![
        vec![LEAD],
        start.to_vec(),
        [&start[..], &[0x81, 1, 1, b'e', 0]].concat(),
        [&start[..], &[0x81, 0, 0, 0]].concat(),
        [&start[..], &[0x81, 0, 1, b'e'], &huge].concat(),
        [&start[..], &[0x81, 0], &huge].concat(),
        [&start[..], &[0x81, 0], &max_u31].concat(),
        [&start[..], &[0x81], &huge].concat(),
        [&start[..], &[0x01, 0, 1, b'e', 0]].concat(),
        [&start[..], &[0x81, 0, 1, b'e', 0, 0x81, 0, 1, b'e', 0]].concat(),
        [&start[..], &[EXISTING, 5, 0x81, 0, 1, b'e', 0]].concat(),
        [&start[..], &[0x84, 0, 1, b'e', 0]].concat(),
        [&start[..], &[11, 0]].concat(),
        [&start[..], &[0, 0]].concat(),
        [&start[..], &[0x86, 0]].concat(),
        [&start[..], &[SET_RETENTION, 0, 1, 0xff]].concat(),
        [&start[..], &[ACK, 0, 1, b'c'], &huge].concat(),
        vec![LEAD, EXISTING, 0, DELETE_DATASET, 0],
        [&[LEAD, EXISTING], &huge[..], &[DELETE_DATASET, 0]].concat(),
        vec![LEAD, NEW, 1, b'a', NEW, 1, b'b', DELETE_DATASET, 0],
        vec![LEAD, EXISTING, 5, DELETE_DATASET, 0, NEW, 1, b'a'],
        vec![LEAD, NEW, 0, DELETE_DATASET, 0],
        vec![LEAD | 4, EXISTING, 5, DELETE_DATASET, 0],
        vec![LEAD | HAS_ORIGIN, 0, EXISTING, 5, DELETE_DATASET, 0],
    ];
    for case in cases {
        assert!(Body::parse(Bytes::from(case.clone())).is_err(), "{case:02x?}");
    }
    assert!(Body::parse(Bytes::from_static(&[LEAD, EXISTING, 5, 0x81, 0, 1, b'e', 0])).is_ok());
    let longest = [&[LEAD, NEW, 0x81, 0x04], &[b'n'; 513][..], &[DELETE_DATASET, 0]].concat();
    assert!(Body::parse(Bytes::from(longest)).is_err());
}

#[test]
fn the_builder_refuses_what_the_parser_would() {
    let with = |act: &dyn Fn(&mut BodyBuilder)| {
        let mut builder = BodyBuilder::new(None, None);
        act(&mut builder);
        builder.finish()
    };
    assert!(with(&|_| {}).is_err());
    assert!(with(&|b| b.change(0, Op::Create, b"e", b"")).is_err());
    assert!(with(&|b| b.delete_dataset(3)).is_err());
    type Act<'a> = &'a dyn Fn(&mut BodyBuilder, u32);
    let refused: [Act<'_>; 5] = [
        &|b, d| b.change(d, Op::Create, b"", b""),
        &|b, d| b.change(d, Op::Create, &[1; MAX_ENTITY_BYTES + 1], b""),
        &|b, d| b.change(d, Op::Delete, b"e", b"payload"),
        &|b, d| b.ack(d, b"c", MAX_KEY + 1, 0),
        &|b, d| {
            b.delete_dataset(d);
            b.create(b"without a record");
        },
    ];
    for (index, act) in refused.iter().enumerate() {
        let result = with(&|builder| {
            let dataset = builder.existing(1);
            act(builder, dataset);
        });
        assert!(result.is_err(), "case {index}");
    }
    assert!(BodyBuilder::new(Some(b""), None).finish().is_err());
}

/// (kind, which dataset, name, payload)
type Step = (u8, u64, Vec<u8>, Vec<u8>);

fn build(origin: Option<&[u8]>, id: Option<(&[u8], [u8; 16])>, steps: &[Step]) -> Option<(Body, u32)> {
    let mut builder = BodyBuilder::new(origin, id);
    let mut created = Vec::new();
    for (kind, which, name, payload) in steps {
        let dataset = match created.get(*which as usize) {
            Some(dataset) if which % 2 == 1 => *dataset,
            _ => builder.existing(which + 1),
        };
        match kind {
            0 => {
                let new = builder.create(name);
                builder.change(new, Op::Create, name, payload);
                created.push(new);
            }
            1 => builder.change(dataset, Op::Create, name, payload),
            2 => builder.change(dataset, Op::Update, name, payload),
            3 => builder.change(dataset, Op::Delete, name, b""),
            4 => builder.delete_dataset(dataset),
            5 => builder.set_retention(dataset, Some(&Retention::default())),
            6 => builder.ack(dataset, name, *which, *which / 2),
            _ => builder.remove_consumer(dataset, name),
        }
    }
    builder.finish().ok()
}

proptest! {
    #[test]
    fn what_the_builder_knows_is_what_the_parser_reads(
        origin in proptest::option::of(vec(any::<u8>(), 1..20)),
        id in proptest::option::of((vec(any::<u8>(), 1..20), any::<[u8; 16]>())),
        steps in vec((0u8..9, 0u64..6, vec(any::<u8>(), 1..200), vec(any::<u8>(), 0..300)), 1..40),
    ) {
        let id = id.as_ref().map(|(id, content)| (&id[..], *content));
        let (body, crc) = build(origin.as_deref(), id, &steps).expect("within the limits");
        prop_assert_eq!(crc, crc32fast::hash(&body.bytes));
        prop_assert_eq!(body.count() as usize, steps.len());
        prop_assert_eq!(Body::parse(body.bytes.clone()), Ok(body));
    }

    #[test]
    fn mangled_bodies_never_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = sample().0.bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(body) = Body::parse(Bytes::from(bytes)) {
            for record in &body.records {
                prop_assert!((record.dataset as usize) < body.datasets.len());
            }
        }
    }

    #[test]
    fn random_bodies_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        if let Some(lead) = bytes.first_mut() {
            *lead = LEAD | (*lead & 3);
        }
        let _: Result<Body, Malformed> = Body::parse(Bytes::from(bytes));
    }
}
