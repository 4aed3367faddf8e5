//! Scalars, and what plain ones mean by the core schema of YAML 1.2: `no` is a text, `0755` is the number 755.

use super::super::diagnostic::shown;

/// One scalar.
#[derive(Clone)]
pub(in super::super) struct Scalar {
    /// Its text, with placeholders resolved. May be secret: messages show [`Scalar::shown`].
    pub(in super::super) text: String,
    /// Whether it stands without quotes, and so may be something else than a text.
    pub(in super::super) plain: bool,
    /// The text as the file has it, when placeholders changed it.
    pub(in super::super) written: Option<String>,
    /// Whether a placeholder of it has no value. That is reported already, so the value is not looked at.
    pub(in super::super) broken: bool,
}

/// What a scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Resolved {
    Null,
    Flag(bool),
    Integer(i128),
    Float,
    Text,
}

impl Scalar {
    pub(in super::super) fn new(text: String, plain: bool) -> Self {
        Self { text, plain, written: None, broken: false }
    }

    /// The text as the file has it, fit for messages.
    pub(in super::super) fn shown(&self) -> String {
        shown(self.written.as_ref().unwrap_or(&self.text))
    }

    pub(in super::super) fn resolve(&self) -> Resolved {
        // What came out of a placeholder is a text whatever it looks like: types do not depend on the environment.
        if !self.plain || self.written.is_some() || self.broken {
            return Resolved::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Flag(true),
            "false" | "False" | "FALSE" => Resolved::Flag(false),
            text => number(text).unwrap_or(Resolved::Text),
        }
    }

    pub(super) fn described(&self) -> String {
        match self.resolve() {
            Resolved::Null => "nothing".to_owned(),
            Resolved::Flag(flag) => format!("`{flag}`"),
            Resolved::Integer(_) | Resolved::Float => format!("the number {}", self.shown()),
            Resolved::Text => format!("the string `{}`", self.shown()),
        }
    }
}

fn number(text: &str) -> Option<Resolved> {
    let digits = |text: &str, radix: u32| !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    let integer = |text: &str, radix: u32| match i128::from_str_radix(text, radix) {
        Ok(number) => Resolved::Integer(number),
        Err(_) => Resolved::Float,
    };
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8).then(|| integer(octal, 8));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16).then(|| integer(hex, 16));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits(unsigned, 10) {
        return Some(integer(text, 10));
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Resolved::Float);
    }
    let starts = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    (starts && unsigned.parse::<f64>().is_ok()).then_some(Resolved::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Resolved {
        Scalar::new(text.to_owned(), true).resolve()
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for text in ["", "~", "null"] {
            assert_eq!(plain(text), Resolved::Null, "{text}");
        }
        assert_eq!(plain("true"), Resolved::Flag(true));
        for text in ["yes", "no", "on", "1_000", "0b1", "12:30:45", "1.2.3", "-", ".", "+", "e3", "0x", "inf", "nan"] {
            assert_eq!(plain(text), Resolved::Text, "{text}");
        }
        assert_eq!(plain("0755"), Resolved::Integer(755));
        assert_eq!(plain("0o17"), Resolved::Integer(15));
        assert_eq!(plain("0xff"), Resolved::Integer(255));
        assert_eq!(plain("-3"), Resolved::Integer(-3));
        for text in ["1.5", "-1e3", ".5", "1.", ".inf", "-.inf", ".nan", "99999999999999999999999999999999999999999999"]
        {
            assert_eq!(plain(text), Resolved::Float, "{text}");
        }
    }

    #[test]
    fn quoted_scalars_are_texts() {
        assert_eq!(Scalar::new("5".to_owned(), false).resolve(), Resolved::Text);
    }

    #[test]
    fn a_resolved_placeholder_is_a_text_and_stays_hidden() {
        let scalar = Scalar { written: Some("${env:N}".to_owned()), ..Scalar::new("5".to_owned(), true) };
        assert_eq!(scalar.resolve(), Resolved::Text);
        assert_eq!(scalar.described(), "the string `${env:N}`");
    }
}
