//! The limits of rendering one part, and the errors beyond them.
//!
//! Each step is charged, and each byte that is read or written; nothing is ever credited back. So
//! the byte limit bounds the memory of all values at any moment as well as the work: every value is
//! charged before it is read or created.

use std::time::{Duration, Instant};

/// The number of steps of a part; a digest of 100 notifications needs about 2,000.
pub(super) const STEPS_MAX: u32 = 100_000;
/// The bytes that a part may read and write while it renders: 16 times the output limit.
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The time limit of a part. The limits above end all work within about 50 ms of an idle core; this
/// one ends it on a busy core.
pub(super) const TIME_MAX: Duration = Duration::from_millis(250);

/// The clock is read once in this many steps, which take about 50 µs.
const STEPS_PER_LOOK: u32 = 256;
/// The clock is read before work on this many bytes or more.
const BYTES_PER_LOOK: usize = 16 * 1024;

/// Why a part cannot be rendered, and the line, if known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Fault {
    line: Option<usize>,
    problem: String,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }

    /// Adds the line, unless one is set.
    pub(super) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

impl From<minijinja::Error> for Fault {
    fn from(error: minijinja::Error) -> Self {
        let problem = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        Self { line: error.line(), problem }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Budget {
    steps: u32,
    bytes: usize,
    until: Instant,
}

impl Budget {
    pub(super) fn new(until: Instant) -> Self {
        Self { steps: STEPS_MAX, bytes: BYTES_MAX, until }
    }

    /// Charges a step.
    pub(super) fn step(&mut self) -> Result<(), Fault> {
        self.steps = self
            .steps
            .checked_sub(1)
            .ok_or_else(|| Fault::new(format!("it takes more than {STEPS_MAX} steps")))?;
        if self.steps.is_multiple_of(STEPS_PER_LOOK) { self.look() } else { Ok(()) }
    }

    /// Charges bytes before they are read or created.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            Fault::new(format!("its text takes more than {BYTES_MAX} bytes on the way"))
        })?;
        if bytes >= BYTES_PER_LOOK { self.look() } else { Ok(()) }
    }

    fn look(&self) -> Result<(), Fault> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(Fault::new(format!("it takes more than {} ms", TIME_MAX.as_millis())))
    }
}
