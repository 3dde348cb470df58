use std::ops::Range;

use bytes::Bytes;

use crate::frame::{Body, BodyBuilder, DatasetRef, FrameHeader, HEADER_LEN, LogPos, Place, RecordKind};
use crate::limits::{MAX_BODY_BYTES, MAX_COMMIT_CHANGES, MAX_KEY};

const PLACE: Place = Place { segment: 42, offset: 4096, salt: 0x0123_4567_89ab_cdef };

/// A log frame: the first 64 bytes as a header, the rest, and once more all of it, as a body.
pub fn frame(data: &[u8]) -> bool {
    header(data) | body(data) | data.get(HEADER_LEN..).is_some_and(body)
}

fn header(data: &[u8]) -> bool {
    if let Some((header, crc)) = FrameHeader::decode(data, &PLACE) {
        let (bytes, own) = header.encode(&PLACE);
        assert_eq!((Some(&bytes[..]), own), (data.get(..HEADER_LEN), crc), "{header:?} has two forms");
    }
    let header = fields(data);
    let (bytes, crc) = header.encode(&PLACE);
    let expected = within_bounds(&header).then_some((header, crc));
    assert_eq!(FrameHeader::decode(&bytes, &PLACE), expected);
    let elsewhere = Place { offset: PLACE.offset + 8, ..PLACE };
    assert_eq!(FrameHeader::decode(&bytes, &elsewhere), None, "a header is valid where it was not written");
    expected.is_some()
}

/// What the bytes say where a header has its fields, sound or not. What is missing is 0.
pub(super) fn fields(data: &[u8]) -> FrameHeader {
    let array = |at: usize| -> [u8; 8] { std::array::from_fn(|i| data.get(at + i).copied().unwrap_or(0)) };
    let u64 = |at| u64::from_le_bytes(array(at));
    let u32 = |at| u64(at) as u32;
    FrameHeader {
        body_len: u32(4),
        count: u32(8),
        base: u64(16),
        time_ms: u64(24),
        body_crc: u32(12),
        synced: LogPos { segment: u64(32), offset: u64(40) },
        prev_crc: u32(48),
    }
}

/// The bounds of docs/format.md.
fn within_bounds(header: &FrameHeader) -> bool {
    let FrameHeader { body_len, count, base, synced, .. } = *header;
    let last = u128::from(base) + u128::from(count);
    body_len != 0
        && body_len as usize <= MAX_BODY_BYTES
        && count != 0
        && count as usize <= MAX_COMMIT_CHANGES
        && base != 0
        && last <= u128::from(MAX_KEY)
        && synced <= PLACE.pos()
        && synced.offset % 8 == 0
}

/// A body that parses must be what the builder writes, but for where existing datasets are named.
fn body(data: &[u8]) -> bool {
    let Ok(body) = Body::parse(Bytes::copy_from_slice(data)) else { return false };
    let again = rebuilt(&body);
    assert_eq!(again.bytes.len(), data.len(), "the same commit has two lengths");
    assert_eq!(contents(&again), contents(&body));
    assert_eq!(Body::parse(again.bytes.clone()), Ok(again), "what is read is not what was built");
    true
}

fn rebuilt(body: &Body) -> Body {
    let idempotency = body.idempotency.as_ref().map(|(id, content)| (part(body, id), *content));
    let mut builder = BodyBuilder::new(body.origin.as_ref().map(|origin| part(body, origin)), idempotency);
    let mut named = 0;
    let mut name_up_to = |builder: &mut BodyBuilder, end: usize| {
        for dataset in body.datasets.get(named..end).unwrap_or_default() {
            let index = match dataset {
                DatasetRef::Existing(id) => builder.existing(*id),
                DatasetRef::New { name, .. } => builder.create(part(body, name)),
            };
            assert_eq!(index as usize, named);
            named += 1;
        }
    };
    let begins =
        |at: usize, dataset: &DatasetRef| matches!(dataset, DatasetRef::New { record, .. } if *record as usize == at);
    for (at, record) in body.records.iter().enumerate() {
        let new = body.datasets.iter().position(|dataset| begins(at, dataset)).map_or(0, |index| index + 1);
        name_up_to(&mut builder, new.max(record.dataset as usize + 1));
        let dataset = record.dataset;
        match &record.kind {
            RecordKind::Change { op, entity, payload, .. } => {
                builder.change(dataset, *op, part(body, entity), part(body, payload));
            }
            RecordKind::DeleteDataset => builder.delete_dataset(dataset),
            RecordKind::SetRetention(retention) => builder.set_retention(dataset, retention.as_deref()),
            RecordKind::Ack { consumer, position, bound } => {
                builder.ack(dataset, part(body, consumer), *position, *bound);
            }
            RecordKind::RemoveConsumer { consumer } => builder.remove_consumer(dataset, part(body, consumer)),
        }
    }
    name_up_to(&mut builder, body.datasets.len());
    let (again, crc) = builder.finish().expect("what parses can be built");
    assert_eq!(crc, crc32fast::hash(&again.bytes));
    again
}

fn part<'a>(body: &'a Body, range: &Range<u32>) -> &'a [u8] {
    let part = body.bytes.get(range.start as usize..range.end as usize);
    part.unwrap_or_else(|| panic!("{range:?} is not within {} bytes", body.bytes.len()))
}

/// Everything a body says, without the places where it says it.
fn contents(body: &Body) -> Vec<String> {
    let text = |range: &Range<u32>| format!("{:?}", part(body, range));
    let mut all = vec![format!(
        "{:?} {:?}",
        body.origin.as_ref().map(text),
        body.idempotency.as_ref().map(|it| (text(&it.0), it.1))
    )];
    all.extend(body.datasets.iter().map(|dataset| match dataset {
        DatasetRef::Existing(id) => format!("existing {id}"),
        DatasetRef::New { record, name } => format!("new {record} {}", text(name)),
    }));
    all.extend(body.records.iter().map(|record| {
        let said = match &record.kind {
            RecordKind::Change { op, last, entity, payload } => {
                format!("{op:?} {last} {} {}", text(entity), text(payload))
            }
            RecordKind::Ack { consumer, position, bound } => format!("ack {} {position} {bound}", text(consumer)),
            RecordKind::RemoveConsumer { consumer } => format!("remove {}", text(consumer)),
            kind @ (RecordKind::DeleteDataset | RecordKind::SetRetention(_)) => format!("{kind:?}"),
        };
        format!("{} {said}", record.dataset)
    }));
    all
}
