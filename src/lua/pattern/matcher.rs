//! The matcher: whether a pattern matches a subject at a place, and what it captures there.
//!
//! A port of the matcher of `lstrlib.c`, Lua 5.4.9 (MIT, © 1994–2025 Lua.org, PUC-Rio), function by function, over
//! slices. As there, the pattern is read as it is matched, so that what is malformed past the first mismatch goes
//! unnoticed, and reading a byte past the end gives a zero. What it adds is [`Steps`]: C's matcher takes exponential
//! time when a pattern says so, and nothing can interrupt it.
//!
//! Walking along the subject is [`super::scan`]'s.

use std::ops::Range;

use super::class;

/// What escapes in patterns, and in replacement strings.
pub(super) const ESCAPE: u8 = b'%';

/// How many captures a pattern may have: C's `LUA_MAXCAPTURES`.
const CAPTURES_MAX: usize = 32;

/// How deep the matcher recurses: C's `MAXCCALLS`.
const DEPTH_MAX: usize = 200;

/// How many bytes count as one step where they are looked at in a row.
const BYTES_PER_STEP: usize = 8;

/// What is wrong with a pattern or a replacement, in Lua's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("malformed pattern (ends with '%')")]
    EndsWithEscape,
    #[error("malformed pattern (missing ']')")]
    OpenSet,
    #[error("malformed pattern (missing arguments to '%b')")]
    BalanceArguments,
    #[error("missing '[' after '%f' in pattern")]
    FrontierSet,
    #[error("invalid capture index %{0}")]
    CaptureIndex(usize),
    #[error("invalid pattern capture")]
    NothingToClose,
    #[error("unfinished capture")]
    Unfinished,
    #[error("too many captures")]
    TooManyCaptures,
    #[error("pattern too complex")]
    TooComplex,
    #[error("invalid use of '%' in replacement string")]
    ReplacementEscape,
    #[error("resulting string too large")]
    ResultTooLarge,
    /// Not of C's: see [`Steps`].
    #[error("the pattern takes too long: more than {0} steps")]
    TooLong(usize),
}

type Result<T> = std::result::Result<T, PatternError>;

/// What a matcher may still do. A step is about an item of the pattern tried at a byte of the subject.
pub(super) struct Steps {
    left: usize,
    max: usize,
}

impl Steps {
    pub(super) fn new(max: usize) -> Self {
        Self { left: max, max }
    }

    /// Takes `steps` of what is left.
    pub(super) fn take(&mut self, steps: usize) -> Result<()> {
        self.left = self.left.checked_sub(steps).ok_or(PatternError::TooLong(self.max))?;
        Ok(())
    }
}

/// A capture, from where it starts.
#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    extent: Extent,
}

#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// Not closed yet.
    Open,
    /// The position itself is what is captured.
    Position,
    /// To this place.
    To(usize),
}

/// What a capture gives.
#[derive(Debug, PartialEq)]
pub(super) enum Captured {
    /// A part of the subject.
    Text(Range<usize>),
    /// A place in the subject, counted from one.
    Position(usize),
}

/// A pattern, the subject it is matched against, and the captures of the latest match.
pub(super) struct Matcher<'a> {
    subject: &'a [u8],
    /// Without its anchor, if there is any.
    pattern: &'a [u8],
    steps: Steps,
    depth_left: usize,
    captures: [Capture; CAPTURES_MAX],
    /// How many of them there are.
    level: usize,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(subject: &'a [u8], pattern: &'a [u8], steps: Steps) -> Self {
        let captures = [Capture { start: 0, extent: Extent::Open }; CAPTURES_MAX];
        Self { subject, pattern, steps, depth_left: DEPTH_MAX, captures, level: 0 }
    }

    pub(super) fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// Where the match ends that begins at `start`, if there is one.
    pub(super) fn match_at(&mut self, start: usize) -> Result<Option<usize>> {
        self.depth_left = DEPTH_MAX;
        self.level = 0;
        self.run(start, 0)
    }

    /// How many captures the latest match has.
    pub(super) fn captures(&self) -> usize {
        self.level
    }

    /// A capture of the latest match, counted from zero; without captures, the first is the `whole` match.
    pub(super) fn capture(&self, index: usize, whole: &Range<usize>) -> Result<Captured> {
        match self.captures[..self.level].get(index) {
            None if index == 0 => Ok(Captured::Text(whole.clone())),
            None => Err(PatternError::CaptureIndex(index + 1)),
            Some(Capture { extent: Extent::Open, .. }) => Err(PatternError::Unfinished),
            Some(Capture { start, extent: Extent::Position }) => Ok(Captured::Position(start + 1)),
            Some(Capture { start, extent: Extent::To(end) }) => Ok(Captured::Text(*start..*end)),
        }
    }

    /// For a replacement, each part of which takes time too.
    pub(super) fn take_step(&mut self) -> Result<()> {
        self.steps.take(1)
    }

    fn byte(&self, at: usize) -> u8 {
        self.subject.get(at).copied().unwrap_or(0)
    }

    fn item(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    /// Matches what is left of the pattern from `p` on, at `s`.
    fn run(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(PatternError::TooComplex)?;
        let end = self.items(s, p)?;
        self.depth_left += 1;
        Ok(end)
    }

    /// The items of the pattern one after the other, as far as no two ways have to be tried.
    fn items(&mut self, mut s: usize, mut p: usize) -> Result<Option<usize>> {
        while p < self.pattern.len() {
            self.steps.take(1)?;
            match (self.item(p), self.item(p + 1)) {
                (b'(', b')') => return self.start_capture(s, p + 2, Extent::Position),
                (b'(', _) => return self.start_capture(s, p + 1, Extent::Open),
                (b')', _) => return self.end_capture(s, p + 1),
                (b'$', _) if p + 1 == self.pattern.len() => return Ok((s == self.subject.len()).then_some(s)),
                (ESCAPE, b'b') => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (ESCAPE, b'f') => match self.frontier(s, p + 2)? {
                    Some(next) => p = next,
                    None => return Ok(None),
                },
                (ESCAPE, digit @ b'0'..=b'9') => match self.back_reference(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let next = self.class_end(p)?;
                    let suffix = self.item(next);
                    match (self.single(s, p, next)?, suffix) {
                        (false, b'*' | b'?' | b'-') => p = next + 1,
                        (false, _) => return Ok(None),
                        (true, b'?') => match self.run(s + 1, next + 1)? {
                            Some(end) => return Ok(Some(end)),
                            None => p = next + 1,
                        },
                        (true, b'+') => return self.expand_most(s + 1, p, next),
                        (true, b'*') => return self.expand_most(s, p, next),
                        (true, b'-') => return self.expand_least(s, p, next),
                        (true, _) => (s, p) = (s + 1, next),
                    }
                }
            }
        }
        Ok(Some(s))
    }

    /// As often as it goes, and less often while the rest does not match.
    fn expand_most(&mut self, s: usize, p: usize, next: usize) -> Result<Option<usize>> {
        let mut end = s;
        while self.single(end, p, next)? {
            end += 1;
        }
        for end in (s..=end).rev() {
            if let Some(end) = self.run(end, next + 1)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// As seldom as the rest lets it.
    fn expand_least(&mut self, mut s: usize, p: usize, next: usize) -> Result<Option<usize>> {
        loop {
            if let Some(end) = self.run(s, next + 1)? {
                return Ok(Some(end));
            }
            if !self.single(s, p, next)? {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn start_capture(&mut self, s: usize, p: usize, extent: Extent) -> Result<Option<usize>> {
        let capture = self.captures.get_mut(self.level).ok_or(PatternError::TooManyCaptures)?;
        *capture = Capture { start: s, extent };
        self.level += 1;
        let end = self.run(s, p)?;
        if end.is_none() {
            self.level -= 1;
        }
        Ok(end)
    }

    fn end_capture(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let open = |capture: &Capture| capture.extent == Extent::Open;
        let index = self.captures[..self.level].iter().rposition(open).ok_or(PatternError::NothingToClose)?;
        self.captures[index].extent = Extent::To(s);
        let end = self.run(s, p)?;
        if end.is_none() {
            self.captures[index].extent = Extent::Open;
        }
        Ok(end)
    }

    /// `%bxy`, whose `x` and `y` are at `p`.
    fn balance(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let Some(&[opens, closes]) = self.pattern.get(p..p + 2) else { return Err(PatternError::BalanceArguments) };
        if self.byte(s) != opens {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for at in s + 1..self.subject.len() {
            self.steps.take(1)?;
            let byte = self.subject[at];
            if byte == closes {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == opens {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`, whose set is at `p`: what comes after it, when `s` is a place where the set begins to match.
    fn frontier(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        if self.item(p) != b'[' {
            return Err(PatternError::FrontierSet);
        }
        let next = self.class_end(p)?;
        let set = &self.pattern[p..next];
        self.steps.take(set.len() / BYTES_PER_STEP)?;
        let before = s.checked_sub(1).map_or(0, |before| self.byte(before));
        Ok((!class::set_has(set, before) && class::set_has(set, self.byte(s))).then_some(next))
    }

    /// `%1` to `%9`: what a capture has captured, once more.
    fn back_reference(&mut self, s: usize, digit: u8) -> Result<Option<usize>> {
        let number = usize::from(digit - b'0');
        let capture = number.checked_sub(1).and_then(|index| self.captures[..self.level].get(index));
        match capture {
            None | Some(Capture { extent: Extent::Open, .. }) => Err(PatternError::CaptureIndex(number)),
            // In C, its length is that of no string.
            Some(Capture { extent: Extent::Position, .. }) => Ok(None),
            Some(&Capture { start, extent: Extent::To(end) }) => {
                let text = &self.subject[start..end];
                self.steps.take(text.len() / BYTES_PER_STEP)?;
                Ok(self.subject[s..].starts_with(text).then_some(s + text.len()))
            }
        }
    }

    /// Where the class ends that begins at `p`.
    fn class_end(&mut self, p: usize) -> Result<usize> {
        match self.item(p) {
            ESCAPE if p + 1 == self.pattern.len() => Err(PatternError::EndsWithEscape),
            ESCAPE => Ok(p + 2),
            b'[' => {
                let mut at = if self.item(p + 1) == b'^' { p + 2 } else { p + 1 };
                // The first byte is of the set, even if it is `]`.
                loop {
                    match self.pattern.get(at) {
                        None => return Err(PatternError::OpenSet),
                        Some(&ESCAPE) if at + 1 < self.pattern.len() => at += 2,
                        Some(_) => at += 1,
                    }
                    if self.item(at) == b']' {
                        break;
                    }
                }
                self.steps.take((at - p) / BYTES_PER_STEP)?;
                Ok(at + 1)
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether there is a byte at `s`, and the class at `p..next` has it.
    fn single(&mut self, s: usize, p: usize, next: usize) -> Result<bool> {
        let Some(&byte) = self.subject.get(s) else { return Ok(false) };
        self.steps.take(1 + (next - p) / BYTES_PER_STEP)?;
        Ok(match self.item(p) {
            b'.' => true,
            ESCAPE => class::has(self.item(p + 1), byte),
            b'[' => class::set_has(&self.pattern[p..next], byte),
            literal => literal == byte,
        })
    }
}
