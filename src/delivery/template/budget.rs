//! What rendering one part may cost, and what is said when it costs more.
//!
//! Each step counts, and each byte that is looked at or made; what was spent is never given back.
//! So the bytes bound the memory that values take at any moment as well as the work: nothing is
//! made or read that was not paid for before.

use std::time::{Duration, Instant};

/// The most steps that a part may take: a digest of 100 letters needs some 2,000.
pub(super) const STEPS_MAX: u32 = 100_000;
/// The most bytes that a part may look at and make on its way: 16 times what it may become.
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a part may take. The bounds above end all work within some 50 ms of an idle core; this
/// ends it where the core is busy.
pub(super) const TIME_MAX: Duration = Duration::from_millis(250);

/// The clock is looked at once in so many steps, which take some 50 µs.
const STEPS_PER_LOOK: u32 = 256;
/// The clock is looked at before so many bytes and more are worked on.
const BYTES_PER_LOOK: usize = 16 * 1024;

/// Why a part cannot be rendered, and in which line, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Fault {
    line: Option<usize>,
    problem: String,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }

    /// The same with its line; one that is known already stays.
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

/// What is left to spend.
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

    /// Takes a step.
    pub(super) fn step(&mut self) -> Result<(), Fault> {
        self.steps = self
            .steps
            .checked_sub(1)
            .ok_or_else(|| Fault::new(format!("it takes more than {STEPS_MAX} steps")))?;
        if self.steps.is_multiple_of(STEPS_PER_LOOK) { self.look() } else { Ok(()) }
    }

    /// Pays for bytes before they are looked at or made.
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
