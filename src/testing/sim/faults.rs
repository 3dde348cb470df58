//! What goes wrong, and when; and what was done so far.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Operations that are remembered.
const STORY: usize = 4096;

/// A crash at a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashAt {
    /// Which one, counted from 0.
    pub change: u64,
    /// Whether the change is begun: then it is pending, and the crash decides over it. Else it does not happen.
    pub within: bool,
}

/// A fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// At which operation.
    pub when: When,
    /// What happens.
    pub trouble: Trouble,
    /// Whether it goes on happening.
    pub sticky: bool,
}

/// At the first operation that the trouble can concern, from this one on (counted from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Of all operations.
    Operation(u64),
    /// Of all that change anything.
    Change(u64),
    /// Of all syncs.
    Sync(u64),
}

/// What can happen to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// EIO. A write may have happened in part; after a sync, what was to be synced counts as clean.
    Io,
    /// ENOSPC, where space may be needed, syncs among it.
    Full,
    /// A read or write of less than was asked for.
    Short,
    /// EINTR, of a read, a write or an allocation.
    Interrupted,
}

/// What kind of operation it is, as far as faults go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Look,
    Read,
    Write,
    Allocate,
    /// Cuts a file, renames or removes.
    Change,
    Create,
    Sync,
    Point,
}

impl Trouble {
    fn concerns(self, kind: Kind) -> bool {
        match self {
            Trouble::Io => true,
            Trouble::Full => matches!(kind, Kind::Write | Kind::Allocate | Kind::Create | Kind::Sync),
            Trouble::Short => matches!(kind, Kind::Read | Kind::Write),
            Trouble::Interrupted => matches!(kind, Kind::Read | Kind::Write | Kind::Allocate),
        }
    }
}

/// An operation that was done or refused.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its number among the changes.
    pub change: u64,
    /// Which call.
    pub call: &'static str,
    /// On what.
    pub path: Arc<str>,
    /// Offset and length, or a length alone, as the call has it.
    pub span: (u64, u64),
    /// What came of it.
    pub outcome: Option<Outcome>,
}

/// How an operation ended that did not just succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// By a fault.
    Fault(Trouble),
    /// By the crash.
    Crash,
    /// It was said to be synced, and was not.
    Lie,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { change, call, path, span: (at, len), outcome } = self;
        write!(f, "{change:5} {call} {path}")?;
        if (*at, *len) != (0, 0) {
            write!(f, " {at}+{len}")?;
        }
        match outcome {
            Some(outcome) => write!(f, " -> {outcome:?}"),
            None => Ok(()),
        }
    }
}

/// What is to be done about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Do,
    /// Do a part of it.
    Short,
    /// Do it, or a part, but say that it failed.
    Fail(Trouble),
    /// The crash comes now, with the operation under way.
    CrashWithin,
    /// It is over.
    Gone,
    /// Say that it was synced.
    Lie,
}

#[derive(Default)]
pub struct Faults {
    plans: Vec<Fault>,
    crash: Option<CrashAt>,
    pub crashed: bool,
    pub lie: bool,
    pub fired: u64,
    pub operations: u64,
    pub changes: u64,
    pub syncs: u64,
    pub story: VecDeque<Operation>,
}

impl Faults {
    pub fn plan(&mut self, fault: Fault) {
        self.plans.push(fault);
    }

    pub fn crash_at(&mut self, at: CrashAt) {
        self.crash = Some(at);
    }

    pub fn heal(&mut self) {
        self.plans.clear();
        self.lie = false;
    }

    /// Counts an operation, and decides over it.
    pub fn judge(&mut self, kind: Kind, call: &'static str, path: &Arc<str>, span: (u64, u64)) -> Verdict {
        let verdict = if self.crashed { Verdict::Gone } else { self.decide(kind) };
        let is_change = !matches!(kind, Kind::Look | Kind::Read);
        let outcome = match verdict {
            Verdict::Do => None,
            Verdict::Short => Some(Outcome::Fault(Trouble::Short)),
            Verdict::Fail(trouble) => Some(Outcome::Fault(trouble)),
            Verdict::CrashWithin | Verdict::Gone => Some(Outcome::Crash),
            Verdict::Lie => Some(Outcome::Lie),
        };
        if is_change || outcome.is_some() {
            if self.story.len() == STORY {
                self.story.pop_front();
            }
            self.story.push_back(Operation { change: self.changes, call, path: path.clone(), span, outcome });
        }
        self.operations += 1;
        self.changes += u64::from(is_change);
        self.syncs += u64::from(kind == Kind::Sync);
        verdict
    }

    fn decide(&mut self, kind: Kind) -> Verdict {
        let is_change = !matches!(kind, Kind::Look | Kind::Read);
        if let Some(crash) = self.crash.filter(|crash| is_change && crash.change <= self.changes) {
            self.crashed = true;
            self.fired += 1;
            return if crash.within { Verdict::CrashWithin } else { Verdict::Gone };
        }
        let due = |fault: &Fault| {
            let reached = match fault.when {
                When::Operation(at) => self.operations >= at,
                When::Change(at) => is_change && self.changes >= at,
                When::Sync(at) => kind == Kind::Sync && self.syncs >= at,
            };
            reached && fault.trouble.concerns(kind)
        };
        if let Some(index) = self.plans.iter().position(due) {
            let Fault { trouble, sticky, .. } = self.plans[index];
            if !sticky {
                self.plans.remove(index);
            }
            self.fired += 1;
            return if trouble == Trouble::Short { Verdict::Short } else { Verdict::Fail(trouble) };
        }
        if self.lie && kind == Kind::Sync {
            self.fired += 1;
            return Verdict::Lie;
        }
        Verdict::Do
    }
}

impl Trouble {
    pub fn error(self) -> io::Error {
        match self {
            Trouble::Io | Trouble::Short => io::Error::from_raw_os_error(5),
            Trouble::Full => io::ErrorKind::StorageFull.into(),
            Trouble::Interrupted => io::ErrorKind::Interrupted.into(),
        }
    }
}
