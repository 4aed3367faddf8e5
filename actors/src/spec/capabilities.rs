//! The groups of host interfaces that an entry may grant. What each group links is the executor's business.

use std::{fmt, str::FromStr};

/// One group of host interfaces, as `imports:` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Capability {
    /// `wasi:cli`: arguments, environment, standard streams, exit.
    Cli,
    /// `wasi:io`: streams, errors and polling.
    Io,
    /// `wasi:poll`: polling alone; part of `wasi:io` since WASI 0.2.
    Poll,
    /// `wasi:clocks`: wall and monotonic clocks, sleeping.
    Clocks,
    /// `wasi:filesystem`: files below the entry's mounts.
    Filesystem,
    /// `wasi:random`: random numbers.
    Random,
    /// `wasi:sockets`: TCP, UDP and name look-ups, to what `wasi.network.allow` lists.
    Sockets,
    /// `wasi:http`: outgoing requests, to what `wasi.network.allow` lists.
    Http,
    /// `funcs`: calls to other entries.
    Funcs,
}

impl Capability {
    /// Every group, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Cli,
        Self::Io,
        Self::Poll,
        Self::Clocks,
        Self::Filesystem,
        Self::Random,
        Self::Sockets,
        Self::Http,
        Self::Funcs,
    ];

    /// The name that `imports:` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cli => "wasi:cli",
            Self::Io => "wasi:io",
            Self::Poll => "wasi:poll",
            Self::Clocks => "wasi:clocks",
            Self::Filesystem => "wasi:filesystem",
            Self::Random => "wasi:random",
            Self::Sockets => "wasi:sockets",
            Self::Http => "wasi:http",
            Self::Funcs => "funcs",
        }
    }

    /// The group that a component's import belongs to (`wasi:clocks/wall-clock@0.2.6` is in `wasi:clocks`), or `None`
    /// for an interface that only an embedder can provide.
    pub fn of_import(import: &str) -> Option<Self> {
        let package = import.split_once('/').map_or(import, |(package, _)| package);
        match package {
            "greenroom:runtime" => Some(Self::Funcs),
            _ => package.starts_with("wasi:").then(|| package.parse().ok()).flatten(),
        }
    }
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.name() == text)
            .ok_or_else(|| UnknownCapability(text.to_owned()))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no capability group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no capability; there are wasi:cli, wasi:io, wasi:poll, wasi:clocks, wasi:filesystem, wasi:random, wasi:sockets, wasi:http and funcs"
)]
pub struct UnknownCapability(pub String);

/// A set of capability groups. Default is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u16);

impl Capabilities {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// This set with one group more.
    #[must_use]
    pub fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u16)
    }

    /// Whether the group is granted. `wasi:io` holds `wasi:poll`.
    pub fn has(self, capability: Capability) -> bool {
        let bit = |capability: Capability| self.0 & 1 << capability as u16 != 0;
        bit(capability) || capability == Capability::Poll && bit(Capability::Io)
    }

    /// The groups of the set, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.0 & 1 << *capability as u16 != 0)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(groups: I) -> Self {
        groups.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
