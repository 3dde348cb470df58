use std::collections::BTreeMap;

use bytes::Bytes;
use tidelog::{Cursor, Engine, Entries, Limits, Op, Page, Result};

/// A client as a front end would write it: it applies what it is given and keeps the cursor.
#[derive(Debug, Clone)]
pub struct Replica {
    pub dataset: String,
    pub cursor: Cursor,
    pub state: BTreeMap<Bytes, Bytes>,
    pub received: usize,
}

impl Replica {
    pub fn of(dataset: &str) -> Replica {
        Replica { dataset: dataset.to_owned(), cursor: Cursor::START, state: BTreeMap::new(), received: 0 }
    }

    pub fn page(&mut self, engine: &Engine, limits: Limits) -> Result<Page> {
        let page = engine.changes(&self.dataset, &self.cursor, limits)?;
        self.apply(&page.entries);
        self.cursor = page.next;
        Ok(page)
    }

    /// Reads to the end of the window.
    pub fn sync(&mut self, engine: &Engine) -> Result<Page> {
        loop {
            let page = self.page(engine, Limits::default())?;
            if !page.more {
                return Ok(page);
            }
        }
    }

    pub fn apply(&mut self, entries: &Entries) {
        self.received += entries.len();
        let owned = Bytes::copy_from_slice;
        for entry in entries {
            match entry.op {
                Op::Delete => self.state.remove(entry.entity),
                _ => self.state.insert(owned(entry.entity), owned(entry.payload.expect("an upsert has a payload"))),
            };
        }
    }

    /// The state as text, for tests that wrote text.
    pub fn text(&self) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.state.iter().map(|(entity, payload)| (text(entity), text(payload))).collect()
    }
}
