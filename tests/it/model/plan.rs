//! A batch as the model sees it.

use bytes::Bytes;
use tidelog::{Batch, Expect};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    Update,
    Delete,
    Put,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub dataset: Bytes,
    pub kind: Kind,
    pub entity: Bytes,
    pub payload: Bytes,
    pub expect: Option<Expect>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub origin: Option<Bytes>,
    pub id: Option<Bytes>,
}

impl Plan {
    pub fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        for change in &self.changes {
            let (dataset, entity) = (change.dataset.clone(), change.entity.clone());
            match change.kind {
                Kind::Create => batch.create(dataset, entity, change.payload.clone()),
                Kind::Update => batch.update(dataset, entity, change.payload.clone()),
                Kind::Put => batch.put(dataset, entity, change.payload.clone()),
                Kind::Delete => batch.delete(dataset, entity),
            };
            if let Some(expect) = change.expect {
                batch.expect(expect);
            }
        }
        if let Some(origin) = &self.origin {
            batch.origin(origin.clone());
        }
        if let Some(id) = &self.id {
            batch.idempotency_id(id.clone());
        }
        batch
    }

    /// For people who read a failure.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let (dataset, entity) = (change.dataset.escape_ascii(), change.entity.escape_ascii());
            text += &format!("{:?} {dataset}/{entity} ({} B)", change.kind, change.payload.len());
            if let Some(expect) = change.expect {
                text += &format!(" if {expect:?}");
            }
            text += "; ";
        }
        if let Some(id) = &self.id {
            text += &format!("id {} ", id.escape_ascii());
        }
        if let Some(origin) = &self.origin {
            text += &format!("origin {}", origin.escape_ascii());
        }
        text
    }
}
