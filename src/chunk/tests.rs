use proptest::prelude::*;

use super::*;
use crate::golden;

/// An entry that owns what it names.
#[derive(Debug, Clone)]
struct Owned {
    entry: ChunkEntry<'static>,
    origin: Option<Vec<u8>>,
    entity: Vec<u8>,
    payload: Vec<u8>,
}

impl Owned {
    fn entry(&self) -> ChunkEntry<'_> {
        ChunkEntry { origin: self.origin.as_deref(), entity: &self.entity, payload: &self.payload, ..self.entry }
    }
}

const PLAIN: ChunkEntry<'static> = ChunkEntry {
    key: 1,
    op: Op::Create,
    last: false,
    prev: 0,
    prev_bytes: 0,
    prev_delete: false,
    born: 1,
    reborn: false,
    time_ms: 0,
    origin: None,
    entity: b"e",
    payload: b"",
};

fn sample() -> Vec<ChunkEntry<'static>> {
    vec![
        ChunkEntry { key: 1_000, born: 1_000, time_ms: 1_700_000_000_000, payload: b"first", ..PLAIN },
        ChunkEntry {
            key: 1_001,
            op: Op::Update,
            last: true,
            prev: 1_000,
            prev_bytes: 6,
            born: 1_000,
            time_ms: 1_700_000_000_000,
            origin: Some(b"phone"),
            payload: b"second",
            ..PLAIN
        },
        ChunkEntry {
            key: 1_500,
            op: Op::Delete,
            last: true,
            prev: 900,
            prev_bytes: 300,
            born: 20,
            reborn: true,
            time_ms: 1_700_000_000_500,
            origin: Some(b"laptop"),
            entity: b"another entity",
            ..PLAIN
        },
        ChunkEntry {
            key: 1 << 40,
            prev: 1_500,
            prev_bytes: 14,
            prev_delete: true,
            born: 1 << 40,
            reborn: true,
            time_ms: 1_800_000_000_000,
            origin: Some(b"phone"),
            entity: b"another entity",
            payload: &[0xff; 200],
            ..PLAIN
        },
    ]
}

fn encode(entries: &[ChunkEntry<'_>]) -> (Vec<u8>, ChunkMeta) {
    let mut builder = ChunkBuilder::new();
    for entry in entries {
        let before = builder.bytes();
        builder.push(entry).unwrap();
        assert!(builder.bytes() <= before + ChunkBuilder::bytes_of(entry));
    }
    assert_eq!(builder.count(), entries.len());
    let estimate = builder.bytes();
    let (bytes, meta) = builder.finish();
    assert!(bytes.len() <= estimate && estimate <= bytes.len() + 6, "{estimate} for {}", bytes.len());
    (bytes, meta)
}

fn decode(bytes: &[u8]) -> Result<Chunk, Malformed> {
    Chunk::decode(Bytes::copy_from_slice(bytes))
}

/// A body with its version and checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    [&[VERSION][..], &checksum(body).to_le_bytes(), body].concat()
}

#[test]
fn golden_chunks_are_written_and_read_as_ever() {
    for (name, entries) in [("chunk.bin", sample()), ("chunk-smallest.bin", vec![PLAIN])] {
        let (bytes, _) = encode(&entries);
        golden::check(name, &bytes);
        assert_eq!(decode(&bytes).unwrap().iter().collect::<Vec<_>>(), entries);
    }
    let (_, meta) = encode(&sample());
    let row = meta.with_seq(12, 3_456).encode();
    golden::check("chunk-meta.bin", &row);
    assert_eq!(ChunkMeta::decode(&row), Ok(meta.with_seq(12, 3_456)));
}

#[test]
fn a_builder_refuses_what_would_not_decode() {
    let long = vec![0; MAX_ENTITY_BYTES + 1];
    let second = ChunkEntry { key: 5, born: 5, time_ms: 10, ..PLAIN };
    let mut builder = ChunkBuilder::new();
    builder.push(&ChunkEntry { key: 4, born: 4, time_ms: 10, ..PLAIN }).unwrap();
    let bytes = builder.bytes();
    for wrong in [
        ChunkEntry { key: 4, born: 4, ..second },
        ChunkEntry { key: MAX_KEY + 1, ..second },
        ChunkEntry { time_ms: 9, ..second },
        ChunkEntry { prev: 5, ..second },
        ChunkEntry { prev: 1, prev_bytes: 1 << 40, ..second },
        ChunkEntry { prev_bytes: 1, ..second },
        ChunkEntry { prev_delete: true, ..second },
        ChunkEntry { born: 0, ..second },
        ChunkEntry { born: 6, ..second },
        ChunkEntry { origin: Some(&long[..256]), ..second },
        ChunkEntry { entity: b"", ..second },
        ChunkEntry { entity: &long, ..second },
        ChunkEntry { op: Op::Delete, payload: b"p", ..second },
    ] {
        assert!(builder.push(&wrong).is_err(), "{wrong:?}");
        assert_eq!((builder.count(), builder.bytes()), (1, bytes));
    }
    for key in 5..MAX_CHUNK_ENTRIES as u64 + 4 {
        builder.push(&ChunkEntry { key, born: key, ..second }).unwrap();
    }
    assert!(builder.push(&ChunkEntry { key: 1 << 20, ..second }).is_err());
    assert_eq!(decode(&builder.finish().0).unwrap().len(), MAX_CHUNK_ENTRIES);
}

#[test]
fn a_chunk_counts_what_it_holds() {
    let (_, meta) = encode(&sample());
    let expected = ChunkMeta {
        first: 1_000,
        last: 1 << 40,
        count: 4,
        superseding: 3,
        superseded_bytes: 320,
        deletes: 1,
        bytes: 6 + 7 + 14 + 214,
        first_time_ms: 1_700_000_000_000,
        last_time_ms: 1_800_000_000_000,
        seq: 0,
        seq_bytes: 0,
        dead: 0,
        dead_bytes: 0,
    };
    assert_eq!(meta, expected);
    assert_eq!(ChunkMeta::of(sample()), expected);
}

#[test]
fn search_finds_the_first_entry_above_a_key() {
    let chunk = decode(&encode(&sample()).0).unwrap();
    assert_eq!((chunk.first_key(), chunk.last_key(), chunk.len()), (1_000, 1 << 40, 4));
    let found = [0, 999, 1_000, 1_001, 1_499, 1_500, 1 << 40, u64::MAX].map(|key| chunk.search(key));
    assert_eq!(found, [0, 0, 1, 2, 2, 3, 4, 4]);
}

#[test]
fn slices_share_the_chunk() {
    let (bytes, _) = encode(&sample());
    let bytes = Bytes::from(bytes);
    let chunk = Chunk::decode(bytes.clone()).unwrap();
    for (i, entry) in sample().into_iter().enumerate() {
        assert_eq!(chunk.key(i), entry.key);
        assert_eq!(chunk.entity_bytes(i), entry.entity);
        assert_eq!(chunk.payload_bytes(i), entry.payload);
        assert_eq!(chunk.origin_bytes(i).as_deref(), entry.origin);
        assert!(bytes.as_ptr_range().contains(&chunk.entity_bytes(i).as_ptr()));
    }
    assert!(chunk.memory() >= bytes.len() + 4 * (size_of::<u64>() + size_of::<Row>() + size_of::<Past>()));
}

#[test]
fn every_damaged_bit_and_every_cut_is_refused() {
    let (bytes, meta) = encode(&sample());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&damaged).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
    }
    assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    let row = meta.with_seq(4, 1_000).encode();
    for len in 0..row.len() {
        assert!(ChunkMeta::decode(&row[..len]).is_err(), "cut at {len}");
    }
    assert!(ChunkMeta::decode(&[&row[..], &[0]].concat()).is_err());
}

/// What the checksum does not keep out, because whoever made the bytes made the checksum too.
#[test]
fn a_damaged_body_with_a_good_checksum_is_refused_or_sound() {
    let (bytes, _) = encode(&sample());
    let body = &bytes[HEADER_BYTES..];
    let mut sound = 0;
    for at in 0..body.len() {
        for value in 0..=255 {
            let mut damaged = body.to_vec();
            damaged[at] = value;
            let Ok(chunk) = decode(&sealed(&damaged)) else { continue };
            sound += 1;
            assert_sound(&chunk);
        }
        assert!(decode(&sealed(&body[..at])).is_err(), "cut at {at}");
    }
    assert!(sound > body.len());
}

fn assert_sound(chunk: &Chunk) {
    let (mut key, mut time_ms) = (0, 0);
    for entry in chunk.iter() {
        assert!(entry.key > key && entry.key <= MAX_KEY && entry.time_ms >= time_ms);
        assert!(entry.prev < entry.key && (1..=entry.key).contains(&entry.born));
        assert!(!entry.entity.is_empty() && entry.entity.len() <= MAX_ENTITY_BYTES);
        assert!(entry.prev != 0 || (entry.prev_bytes == 0 && !entry.prev_delete));
        (key, time_ms) = (entry.key, entry.time_ms);
    }
    assert_eq!(decode(&encode(&chunk.iter().collect::<Vec<_>>()).0).unwrap().len(), chunk.len());
}

#[test]
fn hostile_headers_are_refused() {
    let entry = [1, 1 | BORN_HERE, 0, 1, 0, b'e'];
    assert!(decode(&sealed(&[&[1, 0][..], &entry].concat())).is_ok());
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    for body in [
        vec![],
        vec![0, 0],
        [&[2, 0][..], &entry].concat(),
        [&[1, 2][..], &entry].concat(),
        [&huge[..], &[0], &entry].concat(),
        [&[1][..], &huge, &entry].concat(),
        [&[1, 1][..], &huge, &entry].concat(),
        vec![1, 0, 0, 1 | BORN_HERE, 0, 1, 0, b'e'],
        vec![1, 0, 1, BORN_HERE, 0, 1, 0, b'e'],
        vec![1, 0, 1, 1 | BORN_HERE | PREV_DELETE, 0, 1, 0, b'e'],
        vec![1, 0, 1, 1 | BORN_HERE | HAS_ORIGIN, 0, 0, 1, 0, b'e'],
        vec![1, 0, 1, 1 | BORN_HERE, 0, 0, 1, b'p'],
        vec![1, 0, 1, 3 | BORN_HERE, 0, 1, 1, b'e', b'p'],
        vec![1, 0, 2, 1, 2, 0, 1, 0, b'e'],
        vec![1, 0, 2, 1, 0, 0, 1, 0, b'e'],
        vec![1, 0, 2, 1 | BORN_HERE | HAS_PREV, 2, 0, 0, 1, 0, b'e'],
        [&[1, 0, 1, 1 | BORN_HERE, 0, 1][..], &huge, b"e"].concat(),
        [&[1, 0, 1, 1 | BORN_HERE, 0][..], &huge, &[0], b"e"].concat(),
    ] {
        assert!(decode(&sealed(&body)).is_err(), "{body:?}");
    }
    let zeroed = [0; 64];
    assert!(decode(&zeroed).is_err());
}

#[test]
fn counts_that_contradict_each_other_are_refused() {
    let (_, meta) = encode(&sample());
    let good = meta.with_seq(4, 241);
    assert_eq!(ChunkMeta::decode(&good.encode()), Ok(good));
    for wrong in [
        meta,
        meta.with_seq(3, 241),
        meta.with_seq(4, 240),
        ChunkMeta { count: 0, ..good },
        ChunkMeta { count: 5000, seq: 5000, ..good },
        ChunkMeta { superseding: 5, ..good },
        ChunkMeta { deletes: 5, ..good },
        ChunkMeta { last: good.first, ..good },
        ChunkMeta { last: MAX_KEY + 1, ..good },
        ChunkMeta { first: 0, ..good },
    ] {
        assert!(ChunkMeta::decode(&wrong.encode()).is_err(), "{wrong:?}");
    }
}

fn any_entries() -> impl Strategy<Value = Vec<Owned>> {
    let gap = prop_oneof![4 => Just(1u64), 2 => 1..1000u64, 1 => 1..(1u64 << 50)];
    let origin = prop_oneof![
        3 => Just(None),
        3 => prop::sample::select(vec!["a", "phone", "laptop"]).prop_map(|origin| Some(origin.as_bytes().to_vec())),
        1 => prop::collection::vec(any::<u8>(), 0..=255).prop_map(Some),
    ];
    let name = prop_oneof![prop::collection::vec(any::<u8>(), 1..40), Just(vec![7; MAX_ENTITY_BYTES])];
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    let op = prop::sample::select(vec![Op::Create, Op::Update, Op::Delete]);
    let numbers = (gap, any::<u64>(), any::<u64>(), 0..1u64 << 28, prop_oneof![Just(0), 0..1u64 << 40]);
    let flags = any::<[bool; 5]>();
    let one = (numbers, flags, op, origin, name, payload).prop_map(
        |(
            (gap, prev, born, prev_bytes, time_ms),
            [last, reborn, has_prev, prev_delete, here],
            op,
            origin,
            entity,
            payload,
        )| {
            let (prev, prev_bytes) = if has_prev { (prev, prev_bytes) } else { (0, 0) };
            let born = if here { 0 } else { born };
            let prev_delete = has_prev && prev_delete;
            let entry =
                ChunkEntry { key: gap, op, last, prev, prev_bytes, prev_delete, born, reborn, time_ms, ..PLAIN };
            let payload = if op == Op::Delete { Vec::new() } else { payload };
            Owned { entry, origin, entity, payload }
        },
    );
    prop::collection::vec(one, 1..60).prop_map(|mut entries| {
        let (mut key, mut time_ms) = (0, 0);
        for owned in &mut entries {
            let entry = &mut owned.entry;
            key += entry.key;
            time_ms += entry.time_ms;
            (entry.key, entry.time_ms) = (key, time_ms);
            entry.born = if entry.born == 0 { key } else { 1 + entry.born % key };
            if entry.prev != 0 {
                entry.prev %= key;
            }
            if entry.prev == 0 {
                (entry.prev_bytes, entry.prev_delete) = (0, false);
            }
        }
        entries
    })
}

proptest! {
    #[test]
    fn chunks_round_trip(entries in any_entries()) {
        let entries: Vec<ChunkEntry<'_>> = entries.iter().map(Owned::entry).collect();
        let (bytes, meta) = encode(&entries);
        let chunk = decode(&bytes).unwrap();
        prop_assert_eq!(chunk.iter().collect::<Vec<_>>(), entries.clone());
        prop_assert_eq!(ChunkMeta::of(chunk.iter()), meta);
        let meta = meta.with_seq(1 << 33, 1 << 50);
        prop_assert_eq!(ChunkMeta::decode(&meta.encode()), Ok(meta));
        for (i, entry) in entries.iter().enumerate() {
            prop_assert_eq!(chunk.search(entry.key), i + 1);
            prop_assert_eq!(chunk.search(entry.key - 1), i);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_sound(body in prop::collection::vec(0..8u8, 0..64)) {
        if let Ok(chunk) = decode(&sealed(&body)) {
            assert_sound(&chunk);
        }
    }
}
