use proptest::prelude::*;

use super::super::keys;
use super::super::record::Version;
use crate::limits::MAX_KEY;
use crate::types::Op;

/// Text with many of the bytes that escaping is about.
fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn entities_sort_by_dataset_and_name(a in (0u64..3, text(6)), b in (0u64..3, text(6))) {
        prop_assert_eq!(keys::entity(a.0, &a.1).cmp(&keys::entity(b.0, &b.1)), a.cmp(&b));
    }

    #[test]
    fn consumers_sort_by_name_then_dataset(a in (text(6), any::<u64>()), b in (text(6), any::<u64>())) {
        let order = keys::consumer_name(&a.0, a.1).cmp(&keys::consumer_name(&b.0, b.1));
        prop_assert_eq!(order, a.cmp(&b));
    }

    #[test]
    fn parsers_undo_builders(id in any::<u64>(), key in any::<u64>(), name in text(200)) {
        prop_assert_eq!(keys::parse_pair(&keys::pair(id, key)), Ok((id, key)));
        let parsed = keys::parse_entity(&keys::entity(id, &name)) == Ok((id, &name[..]));
        prop_assert_eq!(parsed, !name.is_empty());
        prop_assert!(keys::parse_name(&keys::name(&name)) == Ok(&name[..]));
        prop_assert_eq!(keys::parse_record(&keys::record(id)), Ok(id));
        prop_assert!(keys::parse_consumer(&keys::consumer(id, &name)) == Ok((id, &name[..])));
        prop_assert_eq!(keys::parse_consumer_name(&keys::consumer_name(&name, id)), Ok((name.clone(), id)));
        prop_assert!(keys::parse_idempotency(&keys::idempotency(&name)) == Ok(&name[..]));
        prop_assert!(keys::parse_expiry(&keys::expiry(key, &name)) == Ok((key, &name[..])));
        prop_assert_eq!(keys::parse_due(&keys::due(key, id)), Ok((key, id)));
        prop_assert_eq!(keys::parse_work(&keys::work(id)), Ok(id));
    }

    #[test]
    fn what_a_parser_accepts_its_builder_builds(row in text(40)) {
        if let Ok((id, entity)) = keys::parse_entity(&row) {
            prop_assert_eq!(&keys::entity(id, entity), &row);
        }
        for tag in *b"nrkKixdw" {
            let mut row = row.clone();
            row.insert(0, tag);
            if let Ok((name, id)) = keys::parse_consumer_name(&row) {
                prop_assert_eq!(&keys::consumer_name(&name, id), &row);
            }
            if let Ok(id) = keys::parse_work(&row) {
                prop_assert_eq!(&keys::work(id), &row);
            }
            if let Ok((time_ms, id)) = keys::parse_expiry(&row) {
                prop_assert_eq!(&keys::expiry(time_ms, id), &row);
            }
        }
    }

    #[test]
    fn version_rows_hold_everything_but_their_entity(
        key in 1..=MAX_KEY, age in any::<u64>(), reborn: bool, payload_len in 0usize..1 << 28, entity_len in 0usize..1024
    ) {
        let bytes = (entity_len + payload_len) as u64;
        let version = Version { key, op: Op::Update, born: key.saturating_sub(age), reborn, payload_len, bytes };
        prop_assert_eq!(Version::decode(entity_len, &version.encode()), Ok(version));
    }

    #[test]
    fn hostile_version_rows_are_refused_or_exact(value in prop::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(version) = Version::decode(3, &value) {
            prop_assert_eq!(version.encode(), value);
        }
    }
}

#[test]
fn a_text_above_its_limit_is_refused() {
    let long = vec![b'a'; 1025];
    assert!(keys::parse_entity(&keys::entity(1, &long)).is_err());
    assert!(keys::parse_entity(&keys::entity(1, &long[1..])).is_ok());
    assert!(keys::parse_name(&keys::name(&long)).is_err());
    assert!(keys::parse_consumer_name(&keys::consumer_name(&long, 1)).is_err());
}
