use proptest::prelude::*;

use super::super::keys;
use super::super::record::Version;
use crate::types::Op;

/// Text with many of the bytes that escaping is about.
fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn versions_sort_by_dataset_then_entity_then_newest_first(
        a in (0u64..3, text(6), 0u64..4), b in (0u64..3, text(6), 0u64..4)
    ) {
        let row = |(id, entity, key): &(u64, Vec<u8>, u64)| keys::entity(*id, entity, *key);
        let plain = (a.0, &a.1).cmp(&(b.0, &b.1)).then(b.2.cmp(&a.2));
        prop_assert_eq!(row(&a).cmp(&row(&b)), plain);
        // What bounds the versions of one entity holds all of them and nothing else.
        let bounds = keys::entity_prefix(a.0, &a.1)..keys::entity_end(a.0, &a.1);
        prop_assert_eq!(bounds.contains(&row(&b)), (a.0, &a.1) == (b.0, &b.1));
    }

    #[test]
    fn consumers_sort_by_name_then_dataset(a in (text(6), any::<u64>()), b in (text(6), any::<u64>())) {
        let order = keys::consumer_name(&a.0, a.1).cmp(&keys::consumer_name(&b.0, b.1));
        prop_assert_eq!(order, a.cmp(&b));
    }

    #[test]
    fn parsers_undo_builders(id in any::<u64>(), key in any::<u64>(), name in text(200)) {
        prop_assert_eq!(keys::parse_pair(&keys::pair(id, key)), Ok((id, key)));
        prop_assert_eq!(keys::parse_entity(&keys::entity(id, &name, key)), Ok((id, name.clone(), key)));
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
        if let Ok((id, entity, key)) = keys::parse_entity(&row) {
            prop_assert_eq!(&keys::entity(id, &entity, key), &row);
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
    fn version_rows_hold_everything_but_their_key(
        key in 1u64..u64::MAX, age in any::<u64>(), reborn: bool, payload_len in 0usize..1 << 28, entity_len in 0usize..1024
    ) {
        let bytes = (entity_len + payload_len) as u64;
        let version = Version { key, op: Op::Update, born: key.saturating_sub(age), reborn, payload_len, bytes };
        prop_assert_eq!(Version::decode(entity_len, key, &version.encode()), Ok(version));
    }

    #[test]
    fn hostile_version_rows_are_refused_or_exact(value in prop::collection::vec(any::<u8>(), 0..24), key in any::<u64>()) {
        if let Ok(version) = Version::decode(3, key, &value) {
            prop_assert_eq!(version.encode(), value);
        }
    }
}

#[test]
fn a_text_above_its_limit_is_refused() {
    let long = vec![b'a'; 1025];
    assert!(keys::parse_entity(&keys::entity(1, &long, 1)).is_err());
    assert!(keys::parse_entity(&keys::entity(1, &long[1..], 1)).is_ok());
    assert!(keys::parse_name(&keys::name(&long)).is_err());
    assert!(keys::parse_consumer_name(&keys::consumer_name(&long, 1)).is_err());
}
