//! A value that changes with keys, of which only what is visible may be seen.

/// The values of something, each from the key on at which it was set.
#[derive(Debug, Clone)]
pub struct Versioned<T>(Vec<(u64, T)>);

impl<T> Default for Versioned<T> {
    fn default() -> Versioned<T> {
        Versioned(Vec::new())
    }
}

impl<T> Versioned<T> {
    /// Sets the value from `key` on; keys come in order.
    pub fn push(&mut self, key: u64, value: T) {
        self.0.push((key, value));
    }

    /// The value as of `bound`, if it was set at or before it, and the key at which it was set.
    pub fn at(&self, bound: u64) -> Option<(u64, &T)> {
        let after = self.0.partition_point(|(key, _)| *key <= bound);
        let (key, value) = self.0.get(after.checked_sub(1)?)?;
        Some((*key, value))
    }

    /// All values as of `bound`, oldest first.
    pub fn upto(&self, bound: u64) -> impl Iterator<Item = &T> {
        self.0.iter().take_while(move |(key, _)| *key <= bound).map(|(_, value)| value)
    }

    /// The newest value.
    pub fn newest(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what was set at `base` or later; tells whether anything is left.
    pub fn take_back(&mut self, base: u64) -> bool {
        self.0.truncate(self.0.partition_point(|(key, _)| *key < base));
        !self.0.is_empty()
    }
}
