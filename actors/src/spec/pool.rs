//! The shape of a pool: its kind and numbers. How a pool behaves is `crate::pool`.

use std::{fmt, time::Duration};

/// The shape of one function's pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// The kind and its own numbers.
    pub sizing: Sizing,
    /// How many calls may wait. Default ([`PoolSpec::new`]) is workers × 64 (static), max_size × 64 (lazy, adaptive) or 64 (inline).
    pub buffer: usize,
    /// What a call meets when the buffer is full. Default is [`OnFull::Refuse`].
    pub on_full: OnFull,
}

/// The kind of a pool, with the numbers of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizing {
    /// One call at a time, its instance made for the call, nothing kept.
    Inline,
    /// No idle workers at first; grows on demand.
    Lazy {
        /// Live instances at most.
        max_size: usize,
        /// How long a worker stays idle before it goes.
        idle_timeout: Duration,
    },
    /// A fixed number of workers, sharing instances that are kept ready.
    Static {
        /// Calls that run at once.
        workers: usize,
        /// Live instances at most; those not running are kept ready.
        size: usize,
    },
    /// Grows while waiting calls would gain from it, shrinks when they would not.
    Adaptive {
        /// Live instances at most.
        max_size: usize,
        /// Whether a worker with its instance is made at start, and never given up.
        warm_start: bool,
        /// How long a worker stays idle before it goes.
        idle_timeout: Duration,
    },
}

/// The kinds of pools, as registry files name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// `inline`
    Inline,
    /// `lazy`
    Lazy,
    /// `static`
    Static,
    /// `adaptive`
    Adaptive,
}

impl PoolKind {
    /// Every name, in the order of the documentation.
    pub const NAMES: [&'static str; 4] = ["inline", "lazy", "static", "adaptive"];

    /// The name that registry files use.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl fmt::Display for PoolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a call meets when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// `rate_limited`, at once.
    #[default]
    Refuse,
    /// The caller waits for room, within its own timeout.
    Wait,
}

impl PoolSpec {
    /// The bound of `max_size` when none is given.
    pub const MAX_SIZE_DEFAULT: usize = 100;
    /// The size of a static pool when neither `size` nor `workers` is given.
    pub const STATIC_SIZE_DEFAULT: usize = 8;
    /// How long an idle worker stays when `idle_timeout` is not given.
    pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
    /// Waiting calls per worker when `buffer` is not given.
    pub const BUFFER_PER_WORKER: usize = 64;
    /// The most that any number of a pool may be.
    pub const NUMBER_MAX: usize = 1_000_000;

    /// A pool with the default buffer of its kind.
    pub fn new(sizing: Sizing) -> Self {
        let buffer = sizing.workers_max().saturating_mul(Self::BUFFER_PER_WORKER);
        Self { sizing, buffer, on_full: OnFull::Refuse }
    }

    /// One call at a time.
    pub fn inline() -> Self {
        Self::new(Sizing::Inline)
    }

    /// Grows on demand up to `max_size`.
    pub fn lazy(max_size: usize) -> Self {
        Self::new(Sizing::Lazy { max_size, idle_timeout: Self::IDLE_TIMEOUT_DEFAULT })
    }

    /// `workers` calls at once over `size` instances. Named for `type: static`.
    pub fn fixed(workers: usize, size: usize) -> Self {
        Self::new(Sizing::Static { workers, size })
    }

    /// Between 0 (1 with `warm_start`) and `max_size` workers.
    pub fn adaptive(max_size: usize, warm_start: bool) -> Self {
        Self::new(Sizing::Adaptive { max_size, warm_start, idle_timeout: Self::IDLE_TIMEOUT_DEFAULT })
    }

    /// The same pool with room for `buffer` waiting calls.
    #[must_use]
    pub fn with_buffer(mut self, buffer: usize) -> Self {
        self.buffer = buffer;
        self
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// The first number that is zero, too large, or smaller than another allows.
    pub fn validate(&self) -> Result<(), PoolSpecError> {
        let bound = |field, found| {
            if (1..=Self::NUMBER_MAX).contains(&found) {
                return Ok(());
            }
            Err(PoolSpecError::Bound { field, found, max: Self::NUMBER_MAX })
        };
        match self.sizing {
            Sizing::Inline => {}
            Sizing::Lazy { max_size, .. } | Sizing::Adaptive { max_size, .. } => bound("max_size", max_size)?,
            Sizing::Static { workers, size } => {
                bound("workers", workers)?;
                bound("size", size)?;
                if size < workers {
                    return Err(PoolSpecError::SizeBelowWorkers { size, workers });
                }
            }
        }
        if self.buffer > Self::NUMBER_MAX * Self::BUFFER_PER_WORKER {
            return Err(PoolSpecError::Bound {
                field: "buffer",
                found: self.buffer,
                max: Self::NUMBER_MAX * Self::BUFFER_PER_WORKER,
            });
        }
        Ok(())
    }
}

impl Default for PoolSpec {
    /// What an entry without `pool` has: lazy, up to [`PoolSpec::MAX_SIZE_DEFAULT`].
    fn default() -> Self {
        Self::lazy(Self::MAX_SIZE_DEFAULT)
    }
}

impl Sizing {
    /// The kind alone.
    pub fn kind(&self) -> PoolKind {
        match self {
            Self::Inline => PoolKind::Inline,
            Self::Lazy { .. } => PoolKind::Lazy,
            Self::Static { .. } => PoolKind::Static,
            Self::Adaptive { .. } => PoolKind::Adaptive,
        }
    }

    /// Workers at most.
    pub fn workers_max(&self) -> usize {
        match *self {
            Self::Inline => 1,
            Self::Lazy { max_size, .. } | Self::Adaptive { max_size, .. } => max_size,
            Self::Static { workers, .. } => workers,
        }
    }

    /// Live instances at most.
    pub fn instances_max(&self) -> usize {
        match *self {
            Self::Static { size, .. } => size,
            _ => self.workers_max(),
        }
    }
}

/// Numbers of a pool that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolSpecError {
    /// A number is zero or too large.
    #[error("`pool.{field}` is {found}; it must be between 1 and {max}")]
    Bound {
        /// The field's name, as registry files write it.
        field: &'static str,
        /// The value found.
        found: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// A static pool with fewer instances than workers.
    #[error(
        "`pool.size` is {size} but `pool.workers` is {workers}; each worker needs an instance, so size must be at least workers"
    )]
    SizeBelowWorkers {
        /// Instances at most.
        size: usize,
        /// Calls at once.
        workers: usize,
    },
}
