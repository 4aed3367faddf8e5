//! The fields that are one word of some form: durations, file modes and hashes.

use std::time::Duration;

use super::super::document::{Node, Resolved};

/// The longest duration: a year. Longer ones are slips of the unit.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads `1h30m`, `30s`, `1.5s`, `500ms`, or a number of milliseconds.
///
/// # Errors
/// What is wrong, in a few words.
pub(in super::super) fn duration(node: &Node) -> Result<Duration, String> {
    let Some(scalar) = node.scalar() else { return Err("expected a string or a number".to_owned()) };
    let found = match scalar.resolve() {
        Resolved::Integer(millis) => match u64::try_from(millis) {
            Ok(millis) => Duration::from_millis(millis),
            Err(_) if millis < 0 => return Err("a duration is not negative".to_owned()),
            Err(_) => Duration::MAX,
        },
        Resolved::Text => duration_parts(&scalar.text)?,
        _ => return Err("expected whole milliseconds, or a number with a unit".to_owned()),
    };
    if found > DURATION_MAX { Err("a duration is at most 365 days".to_owned()) } else { Ok(found) }
}

/// Reads `1h30m`, `30s`, `1.5s` or `500ms`.
///
/// # Errors
/// What is wrong, in a few words.
pub(crate) fn duration_parts(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return Err("expected a number and a unit".to_owned());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: f64 = number.parse().map_err(|_| "expected a number and a unit".to_owned())?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err("the unit is missing: ms, s, m or h".to_owned()),
            _ => return Err("the units are ms, s, m and h".to_owned()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).unwrap_or(Duration::MAX);
        sum = sum.saturating_add(part);
        rest = after;
    }
    Ok(sum)
}

/// Reads an octal string such as `"0755"`.
///
/// # Errors
/// What is wrong, in a few words.
pub(in super::super) fn mode(node: &Node) -> Result<u32, &'static str> {
    let Some(scalar) = node.scalar() else { return Err("expected an octal string") };
    if scalar.plain && scalar.written.is_none() && !matches!(scalar.resolve(), Resolved::Integer(_)) {
        return Err("expected octal digits");
    }
    // `mode: 0755` without quotes is the number 755 in YAML 1.2, but whoever writes it means the octal one.
    let digits = scalar.text.strip_prefix("0o").unwrap_or(&scalar.text);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(8)) {
        return Err("expected octal digits");
    }
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err("a mode is at most 7777"),
    }
}

/// What is wrong with a hash.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum HashFault {
    /// The `sha256:...` of documentation.
    Placeholder,
    NoPrefix,
    OtherAlgorithm(String),
    Length(usize),
    NotHex(char),
}

impl HashFault {
    pub(in super::super) fn message(&self) -> String {
        match self {
            Self::Placeholder => "the hash is a placeholder; write that of the file".to_owned(),
            Self::NoPrefix => "the hash has no algorithm; it must start with `sha256:`".to_owned(),
            Self::OtherAlgorithm(name) => format!("the hash is of algorithm `{name}`; only sha256 is allowed"),
            Self::Length(count) => format!("the hash has {count} digits; a SHA-256 has 64"),
            Self::NotHex(found) => {
                format!("the hash holds `{}`, which is no hexadecimal digit", found.escape_debug())
            }
        }
    }
}

/// Reads `sha256:` and 64 hexadecimal digits, of either case.
///
/// # Errors
/// Which part does not fit.
pub(in super::super) fn sha256(text: &str) -> Result<[u8; 32], HashFault> {
    let Some((algorithm, digits)) = text.split_once(':') else { return Err(HashFault::NoPrefix) };
    if !algorithm.eq_ignore_ascii_case("sha256") {
        return Err(HashFault::OtherAlgorithm(super::super::diagnostic::shown(algorithm)));
    }
    if digits.is_empty() || digits.chars().all(|c| matches!(c, '.' | '…' | 'x' | 'X' | '<' | '>')) {
        return Err(HashFault::Placeholder);
    }
    if let Some(other) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Err(HashFault::NotHex(other));
    }
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return Err(HashFault::Length(digits.len()));
    }
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let value = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
        *byte = pair.iter().fold(0, |sum, digit| sum << 4 | value(*digit));
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::document::{Scalar, Value};

    fn node(text: &str, plain: bool) -> std::sync::Arc<Node> {
        Node::leaf(0..0, Value::Scalar(Scalar::new(text.to_owned(), plain)))
    }

    #[test]
    fn durations_have_units_or_are_milliseconds() {
        let millis = |text| duration(&node(text, true)).map(|time| time.as_millis());
        assert_eq!(millis("1500"), Ok(1500));
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1.5s"), Ok(1500));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("0"), Ok(0));
        for text in ["", "s", "5 s", "5d", "-1", "1.5", "99999h", "1..5s", "5s3", "true", "340282366920938463463"] {
            assert!(millis(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode(&node("0755", true)), Ok(0o755));
        assert_eq!(mode(&node("0755", false)), Ok(0o755));
        assert_eq!(mode(&node("0o700", false)), Ok(0o700));
        for text in ["", "8", "0789", "77777", "rwx", "-1"] {
            assert!(mode(&node(text, false)).is_err(), "{text}");
        }
    }

    #[test]
    fn each_fault_of_a_hash_is_told_apart() {
        let digits = "292b796376f8b4cc360acf2ea6b82d1084871c3607a079f30b446da8e5c984a4";
        let hash = sha256(&format!("sha256:{digits}")).unwrap();
        assert_eq!(hash[..3], [0x29, 0x2b, 0x79]);
        assert_eq!(sha256(&format!("SHA256:{}", digits.to_uppercase())), Ok(hash));
        assert_eq!(sha256(digits), Err(HashFault::NoPrefix));
        assert_eq!(sha256("sha256:..."), Err(HashFault::Placeholder));
        assert_eq!(sha256("sha256:"), Err(HashFault::Placeholder));
        assert_eq!(sha256(&format!("sha512:{digits}")), Err(HashFault::OtherAlgorithm("sha512".into())));
        assert_eq!(sha256(&format!("sha256:{}", &digits[1..])), Err(HashFault::Length(63)));
        assert_eq!(sha256(&format!("sha256:{}é", &digits[2..])), Err(HashFault::NotHex('é')));
    }
}
