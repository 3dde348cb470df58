//! SQLite in WAL mode with synchronous=full: the obvious two tables, clustered by their keys, prepared statements.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Engine, MEMORY};
use crate::workload::{Change, Hash, Names};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS log (
        dataset INTEGER, key INTEGER, op INTEGER, entity BLOB, payload BLOB, PRIMARY KEY (dataset, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS newest (
        dataset INTEGER, entity BLOB, key INTEGER, PRIMARY KEY (dataset, entity)
    ) WITHOUT ROWID;";
const LOG: &str = "INSERT INTO log (dataset, key, op, entity, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
const NEWEST: &str = "INSERT INTO newest (dataset, entity, key) VALUES (?1, ?2, ?3)
    ON CONFLICT (dataset, entity) DO UPDATE SET key = excluded.key";
const PAGE: &str = "SELECT key, entity, payload FROM log WHERE dataset = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
const GET: &str = "SELECT log.key, log.entity, log.payload FROM newest JOIN log
    ON log.dataset = newest.dataset AND log.key = newest.key WHERE newest.dataset = ?1 AND newest.entity = ?2";

pub struct Sqlite {
    connection: Mutex<(Connection, bool)>,
    names: Arc<Names>,
    next: AtomicU64,
}

impl Sqlite {
    pub fn open(dir: &Path, names: Arc<Names>) -> Sqlite {
        std::fs::create_dir_all(dir).expect("a directory");
        let connection = Connection::open(dir.join("sqlite.db")).expect("SQLite opens");
        let set = |name: &str, value: &str| {
            connection.pragma_update(None, name, value).expect("SQLite takes the setting");
        };
        set("journal_mode", "wal");
        set("synchronous", "full");
        set("cache_size", &format!("-{}", MEMORY >> 10));
        connection.execute_batch(SCHEMA).expect("the tables");
        Sqlite { connection: Mutex::new((connection, true)), names, next: AtomicU64::new(1) }
    }

    fn connection(&self) -> MutexGuard<'_, (Connection, bool)> {
        self.connection.lock().expect("no one panicked")
    }
}

impl Engine for Sqlite {
    fn append(&self, batch: &[Change], sync: bool) {
        let mut guard = self.connection();
        let (connection, synced) = &mut *guard;
        if *synced != sync {
            let level = if sync { "full" } else { "off" };
            connection.pragma_update(None, "synchronous", level).expect("SQLite takes the setting");
            *synced = sync;
        }
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let transaction = connection.unchecked_transaction().expect("SQLite begins");
        {
            let mut log = transaction.prepare_cached(LOG).expect("a statement");
            let mut newest = transaction.prepare_cached(NEWEST).expect("a statement");
            for (key, change) in (first..).zip(batch) {
                let entity = &self.names.entities[change.entity as usize];
                log.execute(params![change.dataset, key as i64, change.create, &entity[..], &change.payload[..]])
                    .expect("SQLite writes");
                newest.execute(params![change.dataset, &entity[..], key as i64]).expect("SQLite writes");
            }
        }
        transaction.commit().expect("SQLite commits");
    }

    fn settle(&self) {
        let guard = self.connection();
        guard.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("SQLite checkpoints");
    }

    fn page(&self, dataset: u32, after: u64, limit: usize, hash: &mut Hash) {
        let guard = self.connection();
        let mut statement = guard.0.prepare_cached(PAGE).expect("a statement");
        let limit = i64::try_from(limit).unwrap_or(-1);
        let mut rows = statement.query(params![dataset, after as i64, limit]).expect("SQLite reads");
        while let Some(row) = rows.next().expect("SQLite reads") {
            let blob = |at| row.get_ref(at).expect("a column").as_blob().expect("a blob");
            hash.entry(row.get::<_, i64>(0).expect("a key") as u64, blob(1), blob(2));
        }
    }

    fn get(&self, dataset: u32, entity: u32, hash: &mut Hash) {
        let guard = self.connection();
        let mut statement = guard.0.prepare_cached(GET).expect("a statement");
        let found = statement.query_row(params![dataset, &self.names.entities[entity as usize][..]], |row| {
            hash.entry(row.get::<_, i64>(0)? as u64, row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
            Ok(())
        });
        found.optional().expect("SQLite reads");
    }
}
