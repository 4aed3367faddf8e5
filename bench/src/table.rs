//! The table of results, and that of rows, as text.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::{
    rounds::{Measured, Outcome, Values},
    rows::{Figure, Row, Target},
};

/// What was found, a line for each figure, with the reasons why some have none below it.
pub fn of_results(results: &[Measured]) -> String {
    let mut table = plain(&["row", "ours", "baseline", "unit", "ratio", "quartiles", "target", "met"]);
    let mut notes = String::new();
    for Measured { figure, outcome } in results {
        let cells = match outcome {
            Outcome::Values(values) => of_values(figure, values),
            Outcome::NotMeasured(why) | Outcome::Failed(why) => {
                notes += &format!("\n{}: {why}", figure.name);
                let what = if outcome.is_failed() { "failed" } else { "not measured" };
                let none = String::new;
                [
                    figure.name.clone(),
                    none(),
                    none(),
                    figure.unit.to_owned(),
                    none(),
                    none(),
                    target(figure),
                    what.to_owned(),
                ]
            }
        };
        table.add_row(cells);
    }
    for index in [1, 2, 4, 5, 6] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}{notes}")
}

/// What there is to measure.
pub fn of_rows(rows: &[Box<dyn Row>]) -> String {
    let mut table = plain(&["row", "figure", "unit", "baseline", "target"]);
    for row in rows {
        for figure in row.figures() {
            let name = if figure.name == row.name() { String::new() } else { figure.name.clone() };
            table.add_row([row.name(), name, figure.unit.to_owned(), figure.baseline.to_owned(), target(&figure)]);
        }
    }
    table.to_string()
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

fn of_values(figure: &Figure, values: &Values) -> [String; 8] {
    let or_none = |value: Option<f64>| value.map(number).unwrap_or_default();
    [
        figure.name.clone(),
        number(values.ours),
        or_none(values.baseline),
        figure.unit.to_owned(),
        or_none(values.ratio.map(|ratio| ratio.median)),
        values.ratio.map(|ratio| format!("{} – {}", number(ratio.low), number(ratio.high))).unwrap_or_default(),
        target(figure),
        if values.met { "yes" } else { "no" }.to_owned(),
    ]
}

/// A target as it is written.
pub fn target(figure: &Figure) -> String {
    let unit = figure.unit;
    match figure.target {
        Target::RatioAtLeast(least) => format!("≥ {least} ×"),
        Target::RatioAtMost(most) => format!("≤ {most} ×"),
        Target::OverAtMost(most) => format!("≤ {most} {unit} over"),
        Target::AtMost(most) => format!("≤ {most} {unit}"),
    }
}

/// Three digits that count, and thousands apart.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        ..10_000.0 => format!("{value:.0}"),
        _ => format!("{:.1} k", value / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Spread;

    fn figure() -> Figure {
        Figure { name: "fresh-64".to_owned(), unit: "calls/s", baseline: "b", target: Target::RatioAtLeast(0.95) }
    }

    #[test]
    fn a_line_says_what_was_found_and_what_was_not_and_why() {
        let ratio = Some(Spread { low: 0.9, median: 0.913, high: 0.92 });
        let values = Values { ours: 182_340.0, baseline: Some(199_950.0), ratio, met: false };
        let results = [
            Measured { figure: figure(), outcome: Outcome::Values(values) },
            Measured { figure: figure(), outcome: Outcome::NotMeasured("there is no peer".to_owned()) },
        ];
        let text = of_results(&results);
        let lines: Vec<Vec<_>> = text
            .lines()
            .skip(2)
            .map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(lines[0], ["fresh-64", "182.3 k", "199.9 k", "calls/s", "0.91", "0.90 – 0.92", "≥ 0.95 ×", "no"]);
        assert_eq!(lines[1], ["fresh-64", "calls/s", "≥ 0.95 ×", "not measured"]);
        assert_eq!(lines[2], ["fresh-64: there is no peer"]);
    }
}
