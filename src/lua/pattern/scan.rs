//! Walks along a subject from match to match, and replaces them: the loops of `str_find_aux`, `gmatch_aux`, `str_gsub`
//! and `add_s` of `lstrlib.c`, Lua 5.4.9. What a replacement is, if it is no string, is the shell's to ask.

use std::ops::Range;

use super::matcher::{Captured, ESCAPE, Matcher, PatternError};

type Result<T> = std::result::Result<T, PatternError>;

/// How long a result may become: it grows outside of the VM, whose limit does not see it. In bytes.
const RESULT_MAX: usize = 64 << 20;

/// What makes a pattern more than the bytes to look for.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// Whether the pattern means just its bytes.
pub(super) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| SPECIALS.contains(byte))
}

/// Where `init`, counted from one or from the end, is in a subject of this length; past its end, if it is there.
pub(super) fn offset(init: i64, length: usize) -> usize {
    let from_end = || length.saturating_sub(usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX));
    match init {
        ..0 => from_end(),
        0 => 0,
        _ => usize::try_from(init - 1).unwrap_or(usize::MAX),
    }
}

/// The pattern without its anchor, and whether it had one.
pub(super) fn split_anchor(pattern: &[u8]) -> (&[u8], bool) {
    pattern.strip_prefix(b"^").map_or((pattern, false), |rest| (rest, true))
}

/// Goes from one match to the next.
pub(super) struct Scan {
    at: usize,
    /// Where the latest match ended: an empty one there is none.
    last: Option<usize>,
    anchored: bool,
}

impl Scan {
    /// Past the end of the subject, it finds nothing. Anchored, it looks at `at` and nowhere else.
    pub(super) fn new(at: usize, anchored: bool) -> Self {
        Self { at, last: None, anchored }
    }

    /// The next match, where there is one.
    pub(super) fn next(&mut self, matcher: &mut Matcher<'_>) -> Result<Option<Range<usize>>> {
        while self.at <= matcher.subject().len() {
            let start = self.at;
            let end = matcher.match_at(start)?.filter(|end| self.last != Some(*end));
            self.last = end.or(self.last);
            self.at = if self.anchored { usize::MAX } else { end.unwrap_or(start + 1) };
            if let Some(end) = end {
                return Ok(Some(start..end));
            }
        }
        Ok(None)
    }
}

/// A `gsub` under way.
pub(super) struct Substitution {
    scan: Scan,
    max: i64,
    count: i64,
    result: Vec<u8>,
    /// How many bytes of the result came before.
    taken: usize,
    /// How much of the subject is in the result: what is kept is copied with the replacement after it.
    copied: usize,
    changed: bool,
}

impl Substitution {
    pub(super) fn new(anchored: bool, max: i64) -> Self {
        let scan = Scan::new(0, anchored);
        Self { scan, max, count: 0, result: Vec::new(), taken: 0, copied: 0, changed: false }
    }

    /// How many matches there have been, kept ones among them.
    pub(super) fn count(&self) -> i64 {
        self.count
    }

    /// The next match to replace or to keep.
    pub(super) fn next(&mut self, matcher: &mut Matcher<'_>) -> Result<Option<Range<usize>>> {
        if self.count >= self.max {
            return Ok(None);
        }
        let matched = self.scan.next(matcher)?;
        self.count += i64::from(matched.is_some());
        Ok(matched)
    }

    /// Replaces a match by these bytes.
    pub(super) fn replace(&mut self, subject: &[u8], matched: &Range<usize>, by: &[u8]) -> Result<()> {
        self.begin(subject, matched)?;
        self.add(by)
    }

    /// Replaces the matcher's latest match by what a replacement string makes of it.
    pub(super) fn expand(&mut self, matcher: &mut Matcher<'_>, matched: &Range<usize>, template: &[u8]) -> Result<()> {
        let subject = matcher.subject();
        self.begin(subject, matched)?;
        let mut rest = template;
        while let Some(escape) = memchr::memchr(ESCAPE, rest) {
            matcher.take_step()?;
            self.add(&rest[..escape])?;
            match rest.get(escape + 1) {
                Some(&ESCAPE) => self.add(&[ESCAPE])?,
                Some(b'0') => self.add(&subject[matched.clone()])?,
                Some(digit @ b'1'..=b'9') => match matcher.capture(usize::from(digit - b'1'), matched)? {
                    Captured::Text(range) => self.add(&subject[range])?,
                    Captured::Position(position) => self.add(position.to_string().as_bytes())?,
                },
                _ => return Err(PatternError::ReplacementEscape),
            }
            rest = &rest[escape + 2..];
        }
        self.add(rest)
    }

    /// Adds the rest of the subject, if the result is any different.
    pub(super) fn finish(&mut self, subject: &[u8]) -> Result<()> {
        if self.changed {
            self.add(&subject[self.copied..])?;
            self.copied = subject.len();
        }
        Ok(())
    }

    /// Whether there is a result: without replacements, it is the subject.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// How much there is to take, in bytes.
    pub(super) fn result_len(&self) -> usize {
        self.result.len()
    }

    /// What of the result is there, and not taken yet.
    pub(super) fn take_result(&mut self) -> Vec<u8> {
        self.taken += self.result.len();
        std::mem::take(&mut self.result)
    }

    fn begin(&mut self, subject: &[u8], matched: &Range<usize>) -> Result<()> {
        self.add(&subject[self.copied..matched.start])?;
        self.copied = matched.end;
        self.changed = true;
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        if self.taken + self.result.len() + bytes.len() > RESULT_MAX {
            return Err(PatternError::ResultTooLarge);
        }
        self.result.extend_from_slice(bytes);
        Ok(())
    }
}
