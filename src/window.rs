//! The rules of reading, as pure functions over plain values.
//!
//! A *window* is what one read delivers, over as many pages as it takes: from `start`, exclusive, to `bound`, inclusive.
//! Whoever has applied it to its end holds exactly the dataset's state at `bound`. Nothing here looks anything up.

use crate::cursor::Exact;
use crate::error::StaleReason;
use crate::planted::{Bug, planted};
use crate::types::{Keep, View};

/// Up to where a dataset's past may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floors {
    /// At or below it tombstones may be gone (with [`Keep::Window`]: everything is). Never above `history_floor`.
    pub floor: u64,
    /// At or below it superseded entries may be gone.
    pub history_floor: u64,
    /// At or below it nothing is left, since this was a [`Keep::Window`] when it was trimmed; 0 if it never was. At most
    /// `floor`, which goes on rising once the dataset keeps what lives again.
    pub window_floor: u64,
}

/// What a read asks for, and of what kind of dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What is delivered.
    pub view: View,
    /// [`Keep::Window`] also if the dataset has become [`Keep::Live`] since but once lost a live entry: from then on its
    /// whole state cannot be read.
    pub keep: Keep,
}

impl Floors {
    /// The window over all that is left: what [`Cursor::oldest`](crate::Cursor::oldest) reads.
    pub fn oldest(&self, rules: Rules, visible: u64) -> Window {
        match (rules.view, rules.keep) {
            (View::Latest, Keep::Live) => Window::after(0),
            // It starts from nothing, where everything is that is left.
            (View::Latest, Keep::Window) => {
                let bound = visible.max(self.window_floor);
                Window { start: 0, position: self.window_floor, bound, first_bound: bound }
            }
            (View::Every, _) => Window::after(self.floor.max(self.history_floor)),
        }
    }
}

/// A read under way: `start <= position <= bound` and `first_bound <= bound`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// What the client had when it began.
    pub start: u64,
    /// Up to where it was read; the caller moves it on, over what is skipped too.
    pub position: u64,
    /// Where it ends.
    pub bound: u64,
    /// Where it would have ended, had the bound never moved.
    pub first_bound: u64,
}

/// One entry, as far as the rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its key.
    pub key: u64,
    /// Whether it deletes its entity.
    pub is_delete: bool,
    /// The key of the entry that replaced it, if one is known.
    pub successor: Option<u64>,
}

/// When the entity's present life (for a delete: the life it ended) began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Born {
    /// The key of that life's first entry.
    pub born: u64,
    /// Whether that life began over a tombstone that was still known, so that a client may have seen an older life.
    pub reborn: bool,
}

impl Born {
    /// Of an entry at `key`, given the version before it: when its life began, and whether it is a delete.
    pub fn after(before: Option<(Born, bool)>, key: u64, is_delete: bool) -> Born {
        match before {
            Some((_, true)) if !is_delete => Born { born: key, reborn: true },
            Some((born, _)) => born,
            None => Born { born: key, reborn: false },
        }
    }
}

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Skipped: a newer entry of the entity follows in this window.
    Superseded,
    /// Left out: a delete of an entity that the client has certainly never seen.
    Elided,
    /// Delivered.
    Deliver {
        /// Whether the entity's present life began after the window's start. It may say so wrongly, never deny it
        /// wrongly.
        new: bool,
    },
}

/// A cursor in the middle of a [`View::Latest`] window was used with another view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TiedToLatest;

impl Window {
    /// A window that has been read to its end at `position`: what a bare key means.
    pub const fn after(position: u64) -> Window {
        Window { start: position, position, bound: position, first_bound: position }
    }

    /// The window that a cursor names, for a read that asks for `view`.
    ///
    /// Only the middle of a [`View::Latest`] window is tied to its view. In the middle of a [`View::Every`] window a
    /// client holds an exact state, so another view begins a window of its own there; going on with the old one would
    /// leave out deletes of what this client has seen.
    ///
    /// # Errors
    ///
    /// [`TiedToLatest`]: the call is wrong.
    pub const fn of(exact: &Exact, view: View) -> Result<Window, TiedToLatest> {
        match (exact.view, view) {
            (Some(View::Latest), View::Every) => Err(TiedToLatest),
            (Some(View::Every), View::Latest) => Ok(Window::after(exact.position)),
            _ => Ok(Window {
                start: exact.start,
                position: exact.position,
                bound: exact.bound,
                first_bound: exact.first_bound,
            }),
        }
    }

    /// The cursor that goes on from here.
    pub const fn exact(&self, view: View, lineage: u64, incarnation: u64) -> Exact {
        let Window { start, position, bound, first_bound } = *self;
        let view = if self.is_done() { None } else { Some(view) };
        Exact { lineage, incarnation, start, position, bound, first_bound, view }
    }

    /// Whether the window has been read to its end.
    pub const fn is_done(&self) -> bool {
        self.position >= self.bound
    }

    /// Goes on with this window, or begins the next one if it is done.
    ///
    /// `visible` and the floors must be of one moment, with `visible` loaded first. Call it for every page.
    ///
    /// # Errors
    ///
    /// Why the dataset can no longer be read from here.
    pub fn resume(self, rules: Rules, visible: u64, floors: Floors) -> Result<Window, StaleReason> {
        let mut window = self;
        if window.is_done() {
            if window.position > visible {
                return Err(StaleReason::Future);
            }
            window = Window { start: window.position, position: window.position, bound: visible, first_bound: visible };
        }
        let is_lost = rules.keep == Keep::Window && floors.window_floor > window.position;
        let trimmed = is_lost || floors.floor > window.due(rules);
        let history_trimmed = rules.view == View::Every && floors.history_floor > window.position;
        if trimmed && (rules.keep == Keep::Window || !history_trimmed) {
            return Err(StaleReason::Trimmed);
        }
        if history_trimmed {
            return Err(StaleReason::HistoryTrimmed);
        }
        if floors.history_floor > window.bound {
            // What was superseded above the old bound may be gone, and with it states below F: read on to a state that
            // is still exact.
            window.bound = visible.max(window.bound);
        }
        Ok(window)
    }

    /// The highest floor that this window, begun, can be read under.
    ///
    /// A client that started from nothing needs no tombstone at or below its first bound: what these deleted was either
    /// never delivered to it or is deleted by what it has still to read.
    const fn due(&self, rules: Rules) -> u64 {
        let from_nothing = self.start == 0 && matches!(rules.view, View::Latest);
        if from_nothing && self.first_bound > self.position { self.first_bound } else { self.position }
    }

    /// By how much the floor would have to rise for a cursor here to go stale, in keys: 0 if it is stale already,
    /// `u64::MAX` if it never will.
    pub fn headroom(&self, rules: Rules, floors: Floors) -> u64 {
        let floor = match rules.view {
            View::Latest => floors.floor,
            View::Every => floors.floor.max(floors.history_floor),
        };
        if self.is_done() && self.position == 0 && rules == (Rules { view: View::Latest, keep: Keep::Live }) {
            return u64::MAX;
        }
        let due = match rules.keep {
            _ if self.is_done() => self.position,
            Keep::Live => self.due(rules),
            // Trimmed as a window again, it would lose what is still to be read.
            Keep::Window if floor <= self.due(rules) => self.position.max(floor),
            Keep::Window => self.position,
        };
        due.saturating_add(1).saturating_sub(floor)
    }

    /// What becomes of an entry with `position < key <= bound`, where tombstones may be gone up to `floor`. `born` is asked
    /// only where it matters, since the answer may cost a seek: never for a window that started from nothing.
    ///
    /// # Errors
    ///
    /// Those of `born`.
    pub fn judge<E>(
        &self,
        rules: Rules,
        floor: u64,
        entry: &Facts,
        born: impl FnOnce() -> Result<Born, E>,
    ) -> Result<Verdict, E> {
        let latest = rules.view == View::Latest;
        if latest && entry.successor.is_some_and(|successor| successor <= self.bound) {
            return Ok(Verdict::Superseded);
        }
        let Born { born, reborn } = match self.start {
            0 => Born { born: entry.key, reborn: false },
            _ => born()?,
        };
        let new = born > self.start;
        // The tombstone that would tell of an older life may be gone since this window began: with the version that
        // replaced it still in a tail, nothing in the index store held it.
        let remembered = self.start == 0 || floor <= self.start;
        let unseen = new && !reborn && remembered;
        let unmoved = self.bound == self.first_bound;
        if latest && entry.is_delete && unmoved && unseen && rules.keep == Keep::Live {
            return Ok(Verdict::Elided);
        }
        Ok(Verdict::Deliver { new })
    }
}

/// What a cursor is held against: this store's histories, and the dataset as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// The store's present lineage.
    pub lineage: u64,
    /// Earlier lineages that it goes back to, each with the last key that this store shares with it.
    pub earlier: &'a [(u64, u64)],
    /// The dataset's incarnation.
    pub incarnation: u64,
    /// The key up to which everything is synced.
    pub visible: u64,
}

/// Whether a cursor that a read handed out speaks of this dataset and of a past that this store shares.
///
/// # Errors
///
/// [`StaleReason::Recreated`], [`StaleReason::OtherLineage`] or [`StaleReason::Future`], looked at in this order.
pub fn accept(exact: &Exact, shared: &Shared<'_>) -> Result<(), StaleReason> {
    if exact.incarnation != shared.incarnation {
        return Err(StaleReason::Recreated);
    }
    let highest = exact.position.max(exact.bound);
    let is_ours = exact.lineage == shared.lineage
        || shared.earlier.iter().any(|&(lineage, last)| lineage == exact.lineage && highest <= last);
    if !is_ours && !planted(Bug::LineageIgnored) {
        return Err(StaleReason::OtherLineage);
    }
    if highest > shared.visible {
        return Err(StaleReason::Future);
    }
    Ok(())
}

/// Whether a bare key may be read from, as far as can be told without a lineage. `first_key` is the incarnation's first
/// key. Each of `gaps` is the last key that is shared with an earlier lineage and the first key of the next: keys
/// strictly between the two may have been handed out and then lost.
///
/// # Errors
///
/// [`StaleReason::Recreated`], [`StaleReason::OtherLineage`] or [`StaleReason::Future`], looked at in this order.
pub fn accept_bare(key: u64, first_key: u64, visible: u64, gaps: &[(u64, u64)]) -> Result<(), StaleReason> {
    if key == 0 {
        return Ok(());
    }
    if key < first_key {
        return Err(StaleReason::Recreated);
    }
    if gaps.iter().any(|&(last, first)| last < key && key < first) {
        return Err(StaleReason::OtherLineage);
    }
    if key > visible {
        return Err(StaleReason::Future);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
