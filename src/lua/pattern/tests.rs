//! The matcher and what is built on it, by tables of what Lua's manual says; against C's functions in `differential`,
//! and in a VM in `shell`.

mod differential;
mod shell;

use super::{
    class,
    matcher::{Captured, Matcher, PatternError, Steps},
    scan::{Scan, Substitution, offset, split_anchor},
};

const STEPS: usize = 1_000_000;

/// The first match, and its captures, each as text or `@position`.
fn first(subject: &str, pattern: &str) -> Result<Option<Vec<String>>, PatternError> {
    within(STEPS, subject, pattern)
}

fn within(steps: usize, subject: &str, pattern: &str) -> Result<Option<Vec<String>>, PatternError> {
    let (pattern, anchored) = split_anchor(pattern.as_bytes());
    let mut matcher = Matcher::new(subject.as_bytes(), pattern, Steps::new(steps));
    let Some(found) = Scan::new(0, anchored).next(&mut matcher)? else { return Ok(None) };
    let mut texts = vec![subject[found.clone()].to_owned()];
    for index in 0..matcher.captures() {
        texts.push(match matcher.capture(index, &found)? {
            Captured::Text(range) => subject[range].to_owned(),
            Captured::Position(at) => format!("@{at}"),
        });
    }
    Ok(Some(texts))
}

#[test]
fn each_item_matches_what_the_manual_says() {
    let table: &[(&str, &str, Option<&[&str]>)] = &[
        ("hello", "l+", Some(&["ll"])),
        ("hello", "lx*", Some(&["l"])),
        ("hello", "^l", None),
        ("hello", "o$", Some(&["o"])),
        ("a$b", "a$b", Some(&["a$b"])),
        ("a^b", "a^b", Some(&["a^b"])),
        ("hello", "", Some(&[""])),
        ("[[x]] [[y]]", "%[%[.-%]%]", Some(&["[[x]]"])),
        ("[[x]] [[y]]", "%[%[.*%]%]", Some(&["[[x]] [[y]]"])),
        ("colour color", "colou?r$", Some(&["color"])),
        ("key = value", "^(%w+)%s*=%s*(%w+)$", Some(&["key = value", "key", "value"])),
        ("hello", "()ll()", Some(&["ll", "@3", "@5"])),
        ("hello", "((l)(l))", Some(&["ll", "ll", "l", "l"])),
        ("f(a(b)c) d", "%b()", Some(&["(a(b)c)"])),
        ("f(a(b", "%b()", None),
        ("THE (quick) fox", "%f[%a]%a+%f[%A]", Some(&["THE"])),
        ("THE (quick) fox", "%f[%l]%a+", Some(&["quick"])),
        ("x", "x%f[%z]", Some(&["x"])),
        ("say \"it's\" now", "([\"'])(.-)%1", Some(&["\"it's\"", "\"", "it's"])),
        ("abc", "()%1", None),
        ("a]b", "[]]", Some(&["]"])),
        ("a]b", "[^]a]", Some(&["b"])),
        ("a-b", "[a-]+", Some(&["a-"])),
        ("a-b", "[%-x]", Some(&["-"])),
        ("a%b", "[%%]", Some(&["%"])),
        ("0x1F", "%x+$", Some(&["1F"])),
        ("a\u{b}b", "%s", Some(&["\u{b}"])),
        // What is malformed past the first mismatch goes unnoticed.
        ("x", "y[", None),
    ];
    for (subject, pattern, expected) in table {
        let expected = expected.map(|texts| texts.iter().map(|text| text.to_string()).collect());
        assert_eq!(first(subject, pattern), Ok(expected), "{subject:?} {pattern:?}");
    }
}

#[test]
fn what_is_malformed_is_said_in_the_words_of_lua() {
    let nested = "(".repeat(33);
    let deep = "a?".repeat(250);
    let table = [
        ("a", "%", "malformed pattern (ends with '%')"),
        ("a", "[a", "malformed pattern (missing ']')"),
        ("a", "[]", "malformed pattern (missing ']')"),
        ("a", "[^]", "malformed pattern (missing ']')"),
        ("a", "[a%]", "malformed pattern (missing ']')"),
        ("a", "[a%", "malformed pattern (missing ']')"),
        ("a", "%b", "malformed pattern (missing arguments to '%b')"),
        ("a", "%bx", "malformed pattern (missing arguments to '%b')"),
        ("a", "%f", "missing '[' after '%f' in pattern"),
        ("a", "%fa", "missing '[' after '%f' in pattern"),
        ("a", "%1", "invalid capture index %1"),
        ("a", "(%1)", "invalid capture index %1"),
        ("a", "(a)%0", "invalid capture index %0"),
        ("a", "a)", "invalid pattern capture"),
        ("a", "(a", "unfinished capture"),
        ("a", &nested, "too many captures"),
        (&"a".repeat(250), &deep, "pattern too complex"),
    ];
    for (subject, pattern, message) in table {
        let error = first(subject, pattern).unwrap_err();
        assert_eq!(error.to_string(), message, "{pattern:?}");
    }
}

#[test]
fn a_class_has_the_bytes_it_has_in_c() {
    let count = |class| (0..=255).filter(|byte| class::has(class, *byte)).count();
    let counts = [
        (b'a', 52),
        (b'c', 33),
        (b'd', 10),
        (b'g', 94),
        (b'l', 26),
        (b'p', 32),
        (b's', 6),
        (b'u', 26),
        (b'w', 62),
        (b'x', 22),
        (b'z', 1),
        (b'b', 1),
        (0xff, 1),
    ];
    for (class, bytes) in counts {
        assert_eq!(count(class), bytes, "%{}", char::from(class));
        if bytes > 1 {
            assert_eq!(count(class.to_ascii_uppercase()), 256 - bytes);
        }
    }
}

#[test]
fn init_counts_from_either_end() {
    let table = [(1, 0), (3, 2), (6, 5), (7, 6), (0, 0), (-1, 4), (-5, 0), (-6, 0), (i64::MIN, 0)];
    for (init, at) in table {
        assert_eq!(offset(init, 5), at, "{init}");
    }
    assert!(offset(i64::MAX, 5) > 5);
}

#[test]
fn whatever_takes_time_takes_steps() {
    let subject = "a".repeat(3000);
    let opens = "(".repeat(3000);
    let set = format!("^[^{}]*c", "b".repeat(3000));
    let again = format!("{0}{0}", "a".repeat(3000));
    let table: [(&str, &str); 8] = [
        (&subject, ".-b"),
        (&subject, ".*b"),
        (&subject, "a?a?a?a?a?a?a?b"),
        (&subject, "(.-)(.-)b"),
        (&subject, &set),
        (&subject, &format!("%f{}", &set[1..set.len() - 2])),
        (&opens, "%b()"),
        (&again, "^(a*)%1b"),
    ];
    for (subject, pattern) in table {
        // Each looks at some millions of bytes, and within a tenth of the time it cannot.
        let error = within(30_000, subject, pattern);
        assert_eq!(error, Err(PatternError::TooLong(30_000)), "{}", &pattern[..pattern.len().min(20)]);
    }
    assert_eq!(PatternError::TooLong(30_000).to_string(), "the pattern takes too long: more than 30000 steps");
}

#[test]
fn a_single_pass_takes_a_few_steps_a_byte() {
    let subject = format!("{}b", "a".repeat(100_000));
    for pattern in ["b", ".-b", "[^b]*b", "^(a+)b$", "%f[b]."] {
        assert!(within(4 * subject.len(), &subject, pattern).is_ok_and(|found| found.is_some()), "{pattern}");
    }
}

/// What `gsub` makes of it with a replacement string.
fn replaced(subject: &str, pattern: &str, template: &str, max: i64) -> Result<(String, i64), PatternError> {
    let (pattern, anchored) = split_anchor(pattern.as_bytes());
    let mut matcher = Matcher::new(subject.as_bytes(), pattern, Steps::new(STEPS));
    let mut substitution = Substitution::new(anchored, max);
    while let Some(matched) = substitution.next(&mut matcher)? {
        substitution.expand(&mut matcher, &matched, template.as_bytes())?;
    }
    substitution.finish(subject.as_bytes())?;
    let result = if substitution.is_changed() { substitution.take_result() } else { subject.into() };
    Ok((String::from_utf8(result).unwrap(), substitution.count()))
}

#[test]
fn replacement_strings_are_expanded() {
    let table = [
        ("hello world", "o", "0", i64::MAX, "hell0 w0rld", 2),
        ("hello world", "o", "0", 1, "hell0 world", 1),
        ("hello world", "o", "0", 0, "hello world", 0),
        ("hello world", "o", "0", -1, "hello world", 0),
        ("hello", "", "-", i64::MAX, "-h-e-l-l-o-", 6),
        ("abc", "%w", "%0%0", i64::MAX, "aabbcc", 3),
        ("abc", "%w", "%1%%", i64::MAX, "a%b%c%", 3),
        ("k=v", "(%w)=(%w)", "%2=%1", i64::MAX, "v=k", 1),
        ("abc", "()b", "%1", i64::MAX, "a2c", 1),
        ("aaa", "^a", "b", i64::MAX, "baa", 1),
        ("abc def", "%w*", "x", i64::MAX, "x x", 2),
        ("none", "x", "%9", i64::MAX, "none", 0),
    ];
    for (subject, pattern, template, max, result, count) in table {
        let expected = Ok((result.to_owned(), count));
        assert_eq!(replaced(subject, pattern, template, max), expected, "{subject:?} {pattern:?} {template:?}");
    }
    let use_of = "invalid use of '%' in replacement string";
    for (template, message) in [("%2", "invalid capture index %2"), ("%", use_of), ("%x", use_of)] {
        assert_eq!(replaced("a", "a", template, 1).unwrap_err().to_string(), message);
    }
}

#[test]
fn what_is_kept_is_part_of_the_result() {
    let subject = b"one two three";
    let mut matcher = Matcher::new(subject, b"%w+", Steps::new(STEPS));
    let mut substitution = Substitution::new(false, i64::MAX);
    let mut taken = Vec::new();
    while let Some(matched) = substitution.next(&mut matcher).unwrap() {
        if matched.start == 4 {
            substitution.replace(subject, &matched, b"2").unwrap();
            taken.extend(substitution.take_result());
        }
    }
    substitution.finish(subject).unwrap();
    taken.extend(substitution.take_result());
    assert_eq!((taken, substitution.count()), (b"one 2 three".to_vec(), 3));
}

#[test]
fn a_result_has_a_largest_size_and_what_has_been_taken_counts() {
    let subject = b"aaaaa";
    let mut matcher = Matcher::new(subject, b"a", Steps::new(STEPS));
    let mut substitution = Substitution::new(false, i64::MAX);
    let block = vec![b'x'; 16 << 20];
    for _ in 0..4 {
        let matched = substitution.next(&mut matcher).unwrap().unwrap();
        substitution.replace(subject, &matched, &block).unwrap();
        substitution.take_result();
    }
    assert_eq!(substitution.finish(subject), Err(PatternError::ResultTooLarge));
    assert_eq!(PatternError::ResultTooLarge.to_string(), "resulting string too large");
}

#[test]
fn escapes_of_a_replacement_take_steps_even_if_they_add_nothing() {
    let (subject, template) = ("a".repeat(2000), "%1".repeat(2000));
    assert_eq!(replaced(&subject, "(x*)", &template, i64::MAX), Err(PatternError::TooLong(STEPS)));
}
