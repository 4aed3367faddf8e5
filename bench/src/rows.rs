//! The rows: what each is, and the list of all. One file per family.

mod adaptive;
pub mod calls;
mod extism;
pub mod functions;
mod http;
pub mod loops;
mod lua;
mod one_caller;
pub mod scale;

use std::time::Duration;

use crate::lab::Lab;

/// Something that is measured, for one figure or for several that come from the same rounds.
pub trait Row {
    /// What `--only` takes.
    fn name(&self) -> String;

    /// What is measured, and how it is set up, in a sentence.
    fn about(&self) -> String;

    /// The lines of the table.
    fn figures(&self) -> Vec<Figure>;

    /// How many rounds, when the row is measured in so many by default.
    fn rounds(&self, default: usize) -> usize {
        default
    }

    /// Makes both sides ready. What they hold is given back when the sides are dropped.
    ///
    /// # Errors
    /// [`NotMeasured`](crate::lab::NotMeasured) when something is not there that nobody needs to have; anything else is
    /// a failure.
    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>>;
}

/// Ours and the baseline, ready. They are measured in turns, and each is idle while the other is measured.
pub trait Sides {
    /// Measures ours for about this long: a value for each figure of the row.
    ///
    /// # Errors
    /// Whatever makes its figures worthless, such as a call that fails.
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>>;

    /// The same of the baseline; `None` for a figure that has none. Default is none at all.
    ///
    /// # Errors
    /// As [`Sides::ours`].
    fn baseline(&mut self, _time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        Ok(Vec::new())
    }
}

/// A line of the table.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name; that of its row, if the row has one figure only.
    pub name: String,
    /// What ours and the baseline are measured in.
    pub unit: &'static str,
    /// What ours is compared with.
    pub baseline: &'static str,
    /// What is hoped for.
    pub target: Target,
}

/// What is hoped for of a figure. What is compared is the median over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Ours ÷ baseline, at least.
    RatioAtLeast(f64),
    /// Ours ÷ baseline, at most.
    RatioAtMost(f64),
    /// Ours − baseline, at most.
    OverAtMost(f64),
    /// Ours alone, at most.
    AtMost(f64),
}

/// All rows, in the order of the table.
pub fn all() -> Vec<Box<dyn Row>> {
    let families = [
        calls::rows(),
        one_caller::rows(),
        http::rows(),
        extism::rows(),
        functions::rows(),
        scale::rows(),
        loops::rows(),
        lua::rows(),
        adaptive::rows(),
    ];
    families.into_iter().flatten().collect()
}

/// The rows of these names; all of them for none.
///
/// # Errors
/// A name that no row has, and what may have been meant.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<Box<dyn Row>>> {
    let all = all();
    for name in names {
        if !all.iter().any(|row| row.name() == *name) {
            let near = all.iter().map(|row| row.name()).max_by(|a, b| near(name, a).total_cmp(&near(name, b)));
            let near = near.unwrap_or_default();
            anyhow::bail!("no row is named `{name}`; did you mean `{near}`? `greenroom-bench list` names all rows");
        }
    }
    Ok(all.into_iter().filter(|row| names.is_empty() || names.contains(&row.name())).collect())
}

fn near(name: &str, other: &str) -> f64 {
    strsim::jaro_winkler(name, other)
}
