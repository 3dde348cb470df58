use proptest::prelude::*;

use super::*;

/// Compares bytes with the golden file of this name. With `TIDELOG_BLESS` set the file is written instead: only for a
/// format that was never released.
pub(crate) fn assert_golden(name: &str, bytes: &[u8]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(bytes, golden, "{name}: the format changed");
}

const PLACE: Place = Place { segment: 42, offset: 4096, salt: 0x0123_4567_89ab_cdef };

fn sample() -> FrameHeader {
    let synced = LogPos { segment: 42, offset: 128 };
    let (body_len, count, base, time_ms) = (1234, 3, 77, 1_700_000_000_123);
    FrameHeader { body_len, count, base, time_ms, body_crc: 0xdead_beef, synced, prev_crc: 0x1122_3344 }
}

#[test]
fn the_header_is_the_golden_one() {
    let (bytes, crc) = sample().encode(&PLACE);
    assert_golden("frame-header.bin", &bytes);
    assert_eq!(FrameHeader::decode(&bytes, &PLACE), Some((sample(), crc)));
    assert_eq!(crc.to_le_bytes(), bytes[60..]);
    assert_eq!(sample().frame_len(), 1304);
    assert_eq!(sample().last_key(), 79);
}

#[test]
fn a_flipped_bit_or_another_place_never_validates() {
    let (bytes, _) = sample().encode(&PLACE);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(FrameHeader::decode(&flipped, &PLACE), None, "bit {bit}");
    }
    for place in [
        Place { segment: 43, ..PLACE },
        Place { segment: 41, ..PLACE },
        Place { offset: 4104, ..PLACE },
        Place { salt: PLACE.salt ^ 1, ..PLACE },
    ] {
        assert_eq!(FrameHeader::decode(&bytes, &place), None);
    }
    assert_eq!(FrameHeader::decode(&[0; HEADER_LEN], &PLACE), None);
    assert_eq!(FrameHeader::decode(&bytes[..63], &PLACE), None);
}

#[test]
fn fields_out_of_bounds_are_refused_though_the_checksum_is_right() {
    let bounds = [
        FrameHeader { body_len: 0, ..sample() },
        FrameHeader { body_len: MAX_BODY_BYTES as u32 + 1, ..sample() },
        FrameHeader { body_len: u32::MAX, ..sample() },
        FrameHeader { count: 0, ..sample() },
        FrameHeader { count: MAX_COMMIT_CHANGES as u32 + 1, ..sample() },
        FrameHeader { base: 0, ..sample() },
        FrameHeader { base: MAX_KEY - 2, ..sample() },
        FrameHeader { base: u64::MAX, ..sample() },
        FrameHeader { synced: LogPos { segment: 43, offset: 0 }, ..sample() },
        FrameHeader { synced: LogPos { segment: 42, offset: 4104 }, ..sample() },
        FrameHeader { synced: LogPos { segment: 42, offset: 7 }, ..sample() },
    ];
    for header in bounds {
        assert_eq!(FrameHeader::decode(&header.encode(&PLACE).0, &PLACE), None, "{header:?}");
    }
    let greatest = FrameHeader { base: MAX_KEY - 3, ..sample() };
    assert!(FrameHeader::decode(&greatest.encode(&PLACE).0, &PLACE).is_some());
}

proptest! {
    #[test]
    fn headers_round_trip(
        body_len in 1..=MAX_BODY_BYTES as u32, count in 1..=MAX_COMMIT_CHANGES as u32, base in 1..MAX_KEY / 2,
        time_ms: u64, body_crc: u32, prev_crc: u32, segment: u64, offset in 0..1u64 << 60, salt: u64, back in 0..1u64 << 20,
    ) {
        let place = Place { segment, offset: offset * 8, salt };
        let synced = LogPos { segment, offset: (offset * 8).saturating_sub(back * 8) };
        let header = FrameHeader { body_len, count, base, time_ms, body_crc, synced, prev_crc };
        let (bytes, crc) = header.encode(&place);
        prop_assert_eq!(FrameHeader::decode(&bytes, &place), Some((header, crc)));
        prop_assert_eq!(header.frame_len() % ALIGN, 0);
        prop_assert!(header.frame_len() - u64::from(body_len) - 64 < ALIGN);
    }
}
