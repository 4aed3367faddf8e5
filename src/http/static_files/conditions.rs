//! What a request says about the file it wants: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`,
//! `Range` and `If-Range`, in the order of RFC 9110. Plain data, no I/O.

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified};
use http::{Method, header, request};

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Validators {
    pub(super) etag: Option<ETag>,
    /// In whole seconds, as headers have it; `None` for times that no header can tell.
    pub(super) modified: Option<SystemTime>,
}

impl Validators {
    /// Those of a file of this length, written at this time.
    pub(super) fn of(length: u64, modified: Option<SystemTime>) -> Self {
        // The first second of the year 10000.
        const DATE_MAX: u64 = 253_402_300_800;
        let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        let nanoseconds = since.unwrap_or_default().as_nanos();
        let etag = format!("\"{length:x}-{nanoseconds:x}\"").parse().ok();
        let seconds = since.map(|since| since.as_secs()).filter(|seconds| *seconds < DATE_MAX);
        Self { etag, modified: seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)) }
    }
}

/// What a request wants of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) is_head: bool,
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
    if_modified_since: Option<IfModifiedSince>,
    if_unmodified_since: Option<IfUnmodifiedSince>,
    if_range: Option<IfRange>,
    range: Option<ByteRange>,
}

/// What a client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of the file.
    Whole,
    /// These bytes of it, at least one.
    Part(Range<u64>),
    /// The client has it.
    NotModified,
    /// A condition does not hold.
    Failed,
    /// No byte of the range is in the file.
    Unsatisfiable,
}

/// A range of bytes, as a client asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteRange {
    /// From a byte, to another that is included.
    From(u64, u64),
    /// The last bytes.
    Last(u64),
}

impl Wanted {
    /// Reads the headers of a request. What is malformed is as if it were not there.
    pub(super) fn of(request: &request::Parts) -> Self {
        let headers = &request.headers;
        let is_head = request.method == Method::HEAD;
        let mut ranges = headers.get_all(header::RANGE).iter();
        let range = match (ranges.next(), ranges.next()) {
            // Of what is no GET, all is wanted.
            (Some(range), None) if !is_head => range.to_str().ok().and_then(ByteRange::parse),
            _ => None,
        };
        Self {
            is_head,
            if_match: headers.typed_get(),
            if_none_match: headers.typed_get(),
            if_modified_since: headers.typed_get(),
            if_unmodified_since: headers.typed_get(),
            // One that cannot be read holds of no file.
            if_range: headers.typed_get(),
            range: range
                .filter(|_| !headers.contains_key(header::IF_RANGE) || headers.typed_get::<IfRange>().is_some()),
        }
    }

    /// What comes of it, for a file of this length.
    pub(super) fn outcome(&self, length: u64, validators: &Validators) -> Outcome {
        let Validators { etag, modified } = validators;
        let etag = etag.as_ref();
        let holds = match (&self.if_match, &self.if_unmodified_since, modified) {
            (Some(tags), _, _) => tags.is_any() || etag.is_some_and(|etag| tags.precondition_passes(etag)),
            (None, Some(since), Some(modified)) => since.precondition_passes(*modified),
            _ => true,
        };
        if !holds {
            return Outcome::Failed;
        }
        let has_it = match (&self.if_none_match, &self.if_modified_since, modified) {
            (Some(tags), _, _) => etag.is_some_and(|etag| !tags.precondition_passes(etag)),
            (None, Some(since), Some(modified)) => !since.is_modified(*modified),
            _ => false,
        };
        if has_it {
            return Outcome::NotModified;
        }
        let Some(range) = self.range else { return Outcome::Whole };
        let last_modified = modified.map(LastModified::from);
        let is_another = self.if_range.as_ref().is_some_and(|since| since.is_modified(etag, last_modified.as_ref()));
        if is_another { Outcome::Whole } else { range.of_length(length) }
    }
}

impl ByteRange {
    /// Reads a `Range` with one range. `None` for what is malformed, of another unit, or several: all of the file is a right
    /// answer to them.
    fn parse(text: &str) -> Option<Self> {
        let (unit, range) = text.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Numbers beyond all files are digits, too.
            true => Some(text.parse().unwrap_or(u64::MAX)),
            false => None,
        };
        match (first, last) {
            ("", "") => None,
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(|first| Self::From(first, u64::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, last))
            }
        }
    }

    fn of_length(self, length: u64) -> Outcome {
        let range = match self {
            Self::From(first, last) => first..last.saturating_add(1).min(length),
            Self::Last(count) => length.saturating_sub(count)..length,
        };
        if range.is_empty() { Outcome::Unsatisfiable } else { Outcome::Part(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        let of = |text: &str, length| ByteRange::parse(text).map(|range| range.of_length(length));
        assert_eq!(of("bytes=0-4", 10), Some(Outcome::Part(0..5)));
        assert_eq!(of("bytes=8-", 10), Some(Outcome::Part(8..10)));
        assert_eq!(of("bytes=8-99", 10), Some(Outcome::Part(8..10)));
        assert_eq!(of("bytes=-3", 10), Some(Outcome::Part(7..10)));
        assert_eq!(of("bytes=-30", 10), Some(Outcome::Part(0..10)));
        assert_eq!(of("Bytes = 1-1", 10), Some(Outcome::Part(1..2)));
        assert_eq!(of("bytes=0-99999999999999999999", 10), Some(Outcome::Part(0..10)));
        for text in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(of(text, 10), Some(Outcome::Unsatisfiable), "{text}");
        }
        assert_eq!(of("bytes=0-", 0), Some(Outcome::Unsatisfiable));
        for text in
            ["", "bytes", "bytes=", "bytes=-", "bytes=4-2", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=+1-2"]
        {
            assert_eq!(of(text, 10), None, "{text}");
        }
    }

    #[test]
    fn times_that_no_header_can_tell_are_left_out() {
        assert_eq!(Validators::of(1, Some(UNIX_EPOCH - Duration::from_secs(1))).modified, None);
        assert_eq!(Validators::of(1, Some(UNIX_EPOCH + Duration::from_secs(253_402_300_800))).modified, None);
        let time = UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!(Validators::of(1, Some(time)).modified, Some(UNIX_EPOCH + Duration::from_secs(1)));
        assert_ne!(Validators::of(1, Some(time)).etag, Validators::of(2, Some(time)).etag);
        assert_ne!(Validators::of(1, Some(time)).etag, Validators::of(1, None).etag);
    }
}
