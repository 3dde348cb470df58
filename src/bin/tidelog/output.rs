//! What goes to stdout: lines of JSON, or text and tables.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::failure::Outcome;
use crate::table::Table;

/// Standard output, buffered. Flush it where a reader waits for it.
pub struct Output {
    json: bool,
    to: BufWriter<io::Stdout>,
}

impl Output {
    /// For programs (`json`) or for people.
    pub fn new(json: bool) -> Output {
        Output { json, to: BufWriter::with_capacity(64 << 10, io::stdout()) }
    }

    /// Whether programs read this.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// One line of JSON.
    pub fn line(&mut self, value: &impl Serialize) -> Outcome {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        self.to.write_all(b"\n")?;
        Ok(())
    }

    /// One line of JSON that holds `value` under `name`.
    pub fn named(&mut self, name: &'static str, value: &impl Serialize) -> Outcome {
        self.line(&std::collections::BTreeMap::from([(name, value)]))
    }

    /// One line of text.
    pub fn text(&mut self, text: fmt::Arguments<'_>) -> Outcome {
        writeln!(self.to, "{text}")?;
        Ok(())
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> Outcome {
        Ok(table.write(&mut self.to)?)
    }

    /// Hands everything to the reader.
    pub fn flush(&mut self) -> Outcome {
        Ok(self.to.flush()?)
    }
}
