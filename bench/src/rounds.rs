//! Rounds: ours and the baseline take turns, so that whatever else the machine does meets both.
//!
//! What is compared is the ratio within a round, of which the median and the quartiles are kept: a noisy machine moves
//! both sides of a ratio, and a disturbed round moves no median.

use std::time::Duration;

use anyhow::ensure;

use crate::{
    lab::{Lab, NotMeasured},
    rows::{Figure, Row, Sides, Target},
};

/// A line of the table, with what was found.
#[derive(Debug)]
pub struct Measured {
    /// What was measured.
    pub figure: Figure,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of measuring.
#[derive(Debug)]
pub enum Outcome {
    /// Figures.
    Values(Values),
    /// Something is not there that nobody needs to have.
    NotMeasured(String),
    /// The measurement itself failed.
    Failed(String),
}

/// The figures of all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    /// The median of ours.
    pub ours: f64,
    /// The median of the baseline.
    pub baseline: Option<f64>,
    /// Ours ÷ baseline, round by round.
    pub ratio: Option<Spread>,
    /// Whether the target is met.
    pub met: bool,
}

/// A median and its quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The first quartile.
    pub low: f64,
    /// The second.
    pub median: f64,
    /// The third.
    pub high: f64,
}

impl Outcome {
    /// Whether the measurement itself failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// Measures all figures of a row.
pub fn measure(row: &dyn Row, lab: &Lab) -> Vec<Measured> {
    let figures = row.figures();
    let outcomes = match take_turns(row, lab) {
        Ok(rounds) => figures.iter().enumerate().map(|(index, figure)| outcome(figure, index, &rounds)).collect(),
        Err(error) => {
            let outcome = || match error.downcast_ref() {
                Some(NotMeasured(why)) => Outcome::NotMeasured(why.clone()),
                None => Outcome::Failed(format!("{error:#}")),
            };
            figures.iter().map(|_| outcome()).collect::<Vec<_>>()
        }
    };
    figures.into_iter().zip(outcomes).map(|(figure, outcome)| Measured { figure, outcome }).collect()
}

/// What one round gave: for each figure, ours and the baseline.
type Round = Vec<(f64, Option<f64>)>;

fn take_turns(row: &dyn Row, lab: &Lab) -> anyhow::Result<Vec<Round>> {
    let mut sides = row.set_up(lab)?;
    let figures = row.figures().len();
    if !lab.pace.warm_up.is_zero() {
        round(sides.as_mut(), true, lab.pace.warm_up, figures)?;
    }
    (0..row.rounds(lab.pace.rounds))
        // Whoever comes second may gain or lose by it.
        .map(|number| round(sides.as_mut(), number % 2 == 0, lab.pace.round, figures))
        .collect()
}

fn round(sides: &mut dyn Sides, ours_first: bool, time: Duration, figures: usize) -> anyhow::Result<Round> {
    let (ours, mut baseline) = match ours_first {
        true => {
            let ours = sides.ours(time)?;
            (ours, sides.baseline(time)?)
        }
        false => {
            let baseline = sides.baseline(time)?;
            (sides.ours(time)?, baseline)
        }
    };
    baseline.resize(figures, None);
    ensure!(ours.len() == figures, "a row of {figures} figures was measured in {}", ours.len());
    Ok(ours.into_iter().zip(baseline).collect())
}

fn outcome(figure: &Figure, index: usize, rounds: &[Round]) -> Outcome {
    let of_figure: Vec<_> = rounds.iter().map(|round| round[index]).collect();
    let ours = spread(of_figure.iter().map(|(ours, _)| *ours));
    let both = || of_figure.iter().filter_map(|(ours, baseline)| Some((*ours, (*baseline)?)));
    let baseline = spread(both().map(|(_, baseline)| baseline)).map(|spread| spread.median);
    let ratio = spread(both().map(|(ours, baseline)| ours / baseline));
    let over = spread(both().map(|(ours, baseline)| ours - baseline));
    let Some(ours) = ours.map(|spread| spread.median) else {
        return Outcome::Failed("no round was measured".to_owned());
    };
    let met = match figure.target {
        Target::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio.median >= least),
        Target::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio.median <= most),
        Target::OverAtMost(most) => over.is_some_and(|over| over.median <= most),
        Target::AtMost(most) => ours <= most,
    };
    Outcome::Values(Values { ours, baseline, ratio, met })
}

/// The quartiles of some values, between two of them where they fall between two; `None` of none.
fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |part: f64| {
        let place = part * last as f64;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    Some(Spread { low: at(0.25), median: at(0.5), high: at(0.75) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(target: Target) -> Figure {
        Figure { name: "f".to_owned(), unit: "calls/s", baseline: "the other", target }
    }

    fn met(target: Target, rounds: &[(f64, Option<f64>)]) -> bool {
        let rounds: Vec<_> = rounds.iter().map(|round| vec![*round]).collect();
        match outcome(&figure(target), 0, &rounds) {
            Outcome::Values(values) => values.met,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quartiles_fall_between_values() {
        let spread = spread([4.0, 1.0, 3.0, 2.0].into_iter()).unwrap();
        assert_eq!(spread, Spread { low: 1.75, median: 2.5, high: 3.25 });
        assert_eq!(super::spread(std::iter::empty()), None);
    }

    #[test]
    fn a_ratio_is_that_of_a_round_and_not_that_of_medians() {
        // The machine was three times as fast in the second round; ours was always 0.9 of the baseline.
        let rounds = [(90.0, Some(100.0)), (270.0, Some(300.0)), (45.0, Some(50.0))];
        assert!(met(Target::RatioAtLeast(0.9), &rounds) && !met(Target::RatioAtLeast(0.91), &rounds));
        assert!(met(Target::RatioAtMost(0.9), &rounds) && !met(Target::RatioAtMost(0.89), &rounds));
        assert!(met(Target::OverAtMost(-10.0), &rounds) && !met(Target::OverAtMost(-11.0), &rounds));
        assert!(met(Target::AtMost(90.0), &rounds) && !met(Target::AtMost(89.0), &rounds));
    }

    #[test]
    fn a_ratio_without_a_baseline_is_never_met() {
        for target in [Target::RatioAtLeast(0.0), Target::RatioAtMost(1e9), Target::OverAtMost(1e9)] {
            assert!(!met(target, &[(1.0, None)]));
        }
    }
}
