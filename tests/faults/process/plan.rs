//! What a writer commits: a pure function of who it is and how far it has come, so that whoever checks a store needs no
//! record of what was sent, only of what was answered.

use std::hash::{DefaultHasher, Hash, Hasher};

use tidelog::{Batch, Durability, Entry, EntryRef, Op};

use crate::support::Rng;

/// Writers of one life of the process.
pub const WRITERS: u64 = 8;
/// The writers above this one commit without waiting for the sync.
const SYNCED_WRITERS: u64 = 6;
/// The dataset that all writers change, and whose history is capped.
pub const SHARED: &str = "shared";
const OWN_ENTITIES: u64 = 30;
const SHARED_ENTITIES: u64 = 40;

/// A commit: the process's life, the writer in it, and how many that one sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub life: u64,
    pub writer: u64,
    pub seq: u64,
}

impl Id {
    /// It stands in every entry, as the commit's origin.
    pub fn origin(&self) -> String {
        format!("{}.{}.{}", self.life, self.writer, self.seq)
    }

    pub fn of(entry: &Entry) -> Id {
        let origin = entry.origin.as_ref().expect("every commit names its origin");
        let text = std::str::from_utf8(origin).expect("an origin is text");
        let mut numbers = text.split('.').map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        Id { life: next(), writer: next(), seq: next() }
    }
}

/// The dataset that this writer alone changes, and whose history is kept whole.
pub fn own(writer: u64) -> String {
    format!("own-{writer}")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub entity: String,
    /// None deletes it.
    pub payload: Option<Vec<u8>>,
}

impl Change {
    pub fn is(&self, entry: &Entry) -> bool {
        let deletes = entry.op == Op::Delete;
        self.entity.as_bytes() == &*entry.entity
            && self.payload.is_none() == deletes
            && self.payload.as_deref() == entry.payload.as_deref()
    }
}

/// What one commit holds: at least one change of the writer's own dataset, then those of the shared one.
#[derive(Debug, Clone)]
pub struct Plan {
    pub id: Id,
    pub own: Vec<Change>,
    pub shared: Vec<Change>,
}

impl Plan {
    pub fn of(id: Id) -> Plan {
        let mut rng = Rng::new((id.life << 32) ^ (id.writer << 24) ^ id.seq);
        let own = rng.within(1, 4);
        let own = (0..own).map(|_| change(&mut rng, "e", OWN_ENTITIES)).collect();
        let shared = rng.below(3);
        let shared = (0..shared).map(|_| change(&mut rng, "s", SHARED_ENTITIES)).collect();
        Plan { id, own, shared }
    }

    pub fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        let own = own(self.id.writer);
        let both = [(own.as_str(), &self.own), (SHARED, &self.shared)];
        for (dataset, change) in both.into_iter().flat_map(|(dataset, list)| list.iter().map(move |one| (dataset, one)))
        {
            match &change.payload {
                Some(payload) => batch.put(dataset.to_owned(), change.entity.clone(), payload.clone()),
                None => batch.delete(dataset.to_owned(), change.entity.clone()),
            };
        }
        batch.origin(self.id.origin());
        batch
    }

    pub fn durability(&self) -> Durability {
        if self.id.writer < SYNCED_WRITERS { Durability::Synced } else { Durability::Buffered }
    }

    pub fn keys(&self) -> u64 {
        (self.own.len() + self.shared.len()) as u64
    }
}

fn change(rng: &mut Rng, prefix: &str, entities: u64) -> Change {
    let entity = format!("{prefix}{}", rng.below(entities));
    let len = if rng.chance(4) { rng.within(500, 4000) } else { rng.within(0, 300) };
    let payload = (!rng.chance(15)).then(|| rng.bytes(len as usize));
    Change { entity, payload }
}

/// What an entry says, for the record of everything that any reader ever saw.
pub fn hash<'a>(dataset: &str, entry: impl Into<EntryRef<'a>>) -> u64 {
    let entry = entry.into();
    let mut hasher = DefaultHasher::new();
    let deletes = entry.op == Op::Delete;
    (dataset, deletes, entry.entity, entry.payload, entry.origin).hash(&mut hasher);
    hasher.finish()
}
