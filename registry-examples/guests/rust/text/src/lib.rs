//! The world `text`: see `wit/text.wit`.

use std::collections::HashMap;

wit_bindgen::generate!({ world: "text", path: "wit" });

/// A text that edits make longer than this is refused.
const LENGTH_MAX: usize = 1 << 16;

struct Text;

impl Guest for Text {
    fn slugify(text: String) -> String {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }

    fn count(text: String) -> Counts {
        let longest = text.split_whitespace().rev().max_by_key(|word| word.chars().count());
        Counts {
            lines: number(text.lines().count()),
            words: number(text.split_whitespace().count()),
            chars: text.chars().count() as u64,
            longest: longest.map(str::to_owned),
        }
    }

    fn cut(text: String, unit: Unit, first: u32, end: Option<u32>) -> Result<String, String> {
        let (units, glue): (Vec<String>, _) = match unit {
            Unit::Chars => (text.chars().map(String::from).collect(), ""),
            Unit::Words => (text.split_whitespace().map(str::to_owned).collect(), " "),
            Unit::Lines => (text.lines().map(str::to_owned).collect(), "\n"),
        };
        let end = end.map_or(units.len(), |end| end as usize);
        let cut = units.get(first as usize..end);
        cut.map(|cut| cut.join(glue)).ok_or_else(|| format!("{first} to {end} is not within 0 to {}", units.len()))
    }

    fn edit(mut text: String, edits: Vec<Edit>) -> Result<String, EditError> {
        for (at, edit) in edits.into_iter().enumerate() {
            text = match edit {
                Edit::Reverse => text.chars().rev().collect(),
                Edit::Append(more) => text + &more,
                Edit::Replace((old, _)) if old.is_empty() => return Err(EditError::NothingToReplace),
                Edit::Replace((old, new)) => text.replace(&old, &new),
                Edit::Repeat(times) => text.repeat(times.into()),
            };
            if text.len() > LENGTH_MAX {
                return Err(EditError::TooLong(number(at)));
            }
        }
        Ok(text)
    }

    fn restyle(mut text: String, style: Style) -> String {
        if style.contains(Style::TRIM) {
            text = text.trim().to_owned();
        }
        if style.contains(Style::UPPER) {
            text = text.to_uppercase();
        }
        if style.contains(Style::QUOTE) {
            text = format!("“{text}”");
        }
        text
    }

    fn frequencies(texts: Vec<String>) -> Vec<(String, u32)> {
        let mut counts = HashMap::new();
        for word in texts.iter().flat_map(|text| text.split_whitespace()) {
            *counts.entry(word).or_insert(0) += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
        counts.sort_by(|(a, i), (b, j)| j.cmp(i).then_with(|| a.cmp(b)));
        counts
    }

    fn initial(text: String) -> Option<char> {
        text.chars().next()
    }

    fn check_utf8(bytes: Vec<u8>) -> Result<(), u32> {
        std::str::from_utf8(&bytes).map(|_| ()).map_err(|error| number(error.valid_up_to()))
    }

    fn measure(text: String) -> (u64, f64) {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let chars = text.chars().count();
        let space = text.chars().filter(|c| c.is_whitespace()).count();
        (hash, if chars == 0 { 0.0 } else { space as f64 / chars as f64 })
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

export!(Text);
