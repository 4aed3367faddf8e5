//! The results as JSON, for whoever keeps or compares them.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::Context;
use serde::Serialize;

use crate::{
    rounds::{Measured, Outcome},
    table,
};

/// A result as it is written. What has no value is `null`; what was not measured is never `met`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    row: &'a str,
    ours: Option<f64>,
    baseline: Option<f64>,
    unit: &'static str,
    /// The median over all rounds.
    ratio: Option<f64>,
    /// The quartiles around it.
    spread: Option<[f64; 2]>,
    target: String,
    met: bool,
    /// Why there are no values.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(Measured { figure, outcome }: &'a Measured) -> Self {
        let (values, note) = match outcome {
            Outcome::Values(values) => (Some(values), None),
            Outcome::NotMeasured(why) | Outcome::Failed(why) => (None, Some(why.as_str())),
        };
        let ratio = values.and_then(|values| values.ratio);
        Self {
            row: &figure.name,
            ours: values.map(|values| values.ours),
            baseline: values.and_then(|values| values.baseline),
            unit: figure.unit,
            ratio: ratio.map(|ratio| ratio.median),
            spread: ratio.map(|ratio| [ratio.low, ratio.high]),
            target: table::target(figure),
            met: values.is_some_and(|values| values.met),
            note,
        }
    }
}

/// Writes the results to a file.
pub fn write(path: &Path, results: &[Measured]) -> anyhow::Result<()> {
    let lines: Vec<_> = results.iter().map(Line::of).collect();
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(BufWriter::new(file), &lines)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Figure, Target};

    #[test]
    fn what_was_not_measured_has_no_values_a_reason_and_is_not_met() {
        let figure = Figure { name: "f".to_owned(), unit: "ms", baseline: "b", target: Target::AtMost(15.0) };
        let measured = Measured { figure, outcome: Outcome::NotMeasured("no peer".to_owned()) };
        let expected = r#"{"row":"f","ours":null,"baseline":null,"unit":"ms","ratio":null,"spread":null,"#.to_owned()
            + r#""target":"≤ 15 ms","met":false,"note":"no peer"}"#;
        assert_eq!(serde_json::to_string(&Line::of(&measured)).unwrap(), expected);
    }
}
