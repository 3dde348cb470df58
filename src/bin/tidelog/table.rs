//! Plain tables with aligned columns.

use std::io::{self, Write};

/// A column's heading, and whether its cells stand to the right.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Column::Left(heading) | Column::Right(heading) => heading,
        }
    }
}

/// Rows under headings. An empty heading row is left out.
#[derive(Debug)]
pub struct Table {
    columns: &'static [Column],
    headings: bool,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &'static [Column]) -> Table {
        Table { columns, headings: true, rows: Vec::new() }
    }

    /// Names on the left, values on the right of them.
    pub fn of_facts() -> Table {
        Table { columns: &[Column::Left(""), Column::Left("")], headings: false, rows: Vec::new() }
    }

    /// Leaves the headings out: the table goes on from one before.
    pub fn without_headings(mut self) -> Table {
        self.headings = false;
        self
    }

    /// Adds a row: one cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// Adds a row of a name and a value.
    pub fn fact(&mut self, name: &str, value: impl ToString) {
        self.row([name.to_owned(), value.to_string()]);
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the table; the last column is not padded.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let headings: Vec<String> = self.columns.iter().map(|column| column.heading().to_owned()).collect();
        let shown = || self.headings.then_some(&headings).into_iter().chain(&self.rows);
        let mut widths = vec![0; self.columns.len()];
        for row in shown() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in shown() {
            let mut line = String::new();
            for ((column, cell), width) in self.columns.iter().zip(row).zip(&widths) {
                let gap = " ".repeat(width - cell.chars().count());
                match column {
                    Column::Left(_) => line.extend([cell.as_str(), &gap]),
                    Column::Right(_) => line.extend([gap.as_str(), cell]),
                }
                line.push_str("  ");
            }
            writeln!(to, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).expect("memory takes it");
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[Column::Right("KEY"), Column::Left("ENTITY"), Column::Left("OP")]);
        table.row(["7".to_owned(), "\u{e9}t\u{e9}".to_owned(), "create".to_owned()]);
        table.row(["12345".to_owned(), String::new(), String::new()]);
        assert_eq!(text(&table), "  KEY  ENTITY  OP\n    7  \u{e9}t\u{e9}     create\n12345\n");
        assert_eq!(text(&table.without_headings()), "    7  \u{e9}t\u{e9}  create\n12345\n");
    }

    #[test]
    fn facts_have_no_headings() {
        let mut table = Table::of_facts();
        table.fact("head", 12);
        table.fact("first key", "-");
        assert_eq!(text(&table), "head       12\nfirst key  -\n");
        assert!(!table.is_empty());
    }
}
