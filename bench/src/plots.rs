//! Draws plots as SVG, to be read on light and on dark pages: nothing behind them, and colours that both bear.

use std::{error::Error, path::Path};

use anyhow::{Context, anyhow};
use plotters::{
    coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    prelude::{
        ChartBuilder, Circle, Color, IntoDrawingArea, IntoLogRange, IntoTextStyle, LineSeries, PathElement, RGBColor,
        SVGBackend, TRANSPARENT, Text,
    },
};

/// Values along a number of callers, functions, or whatever there is more and more of.
#[derive(Debug)]
pub struct Plot {
    /// The file, without its ending.
    pub file: &'static str,
    /// What is above it.
    pub title: &'static str,
    /// What there is more and more of.
    pub x: &'static str,
    /// The unit of the values.
    pub y: &'static str,
    /// The values.
    pub lines: Vec<Line>,
}

/// One line of a plot.
#[derive(Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// From left to right. Points without a value are left out.
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (860, 380);

/// What is right of the plot names its lines.
const PLOT_WIDTH: u32 = 620;

const LEGEND_TOP: i32 = 56;
const LEGEND_LINE: i32 = 22;

/// Text and axes.
const GREY: RGBColor = RGBColor(125, 133, 144);

/// The lines, in turn.
const COLOURS: [RGBColor; 4] =
    [RGBColor(47, 129, 247), RGBColor(219, 109, 40), RGBColor(46, 160, 67), RGBColor(163, 113, 247)];

/// How many times the least value the greatest may be on an axis that begins at nothing.
const LINEAR_RATIO_MAX: f64 = 20.0;

/// Draws the plots into a folder, which is made if it is not there.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(directory: &Path, plots: &[Plot]) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for plot in plots {
        let path = directory.join(plot.file).with_extension("svg");
        // The drawing itself cannot be sent to other threads, nor its errors.
        let mut text = String::new();
        plot.draw(&mut text).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Plot {
    fn draw(&self, text: &mut String) -> Result<(), Box<dyn Error + '_>> {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.1).filter(|y| y.is_finite());
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        if most == 0.0 {
            return Err("there is no value".into());
        }
        if most <= LINEAR_RATIO_MAX * least {
            self.draw_on(text, 0.0..most * 1.1)
        } else {
            self.draw_on(text, (least / 1.5..most * 1.5).log_scale())
        }
    }

    fn draw_on<Y>(&self, text: &mut String, y: Y) -> Result<(), Box<dyn Error + '_>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        let (plot, legend) = area.split_horizontally(PLOT_WIDTH);
        let places = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.0);
        // Ticks are where the points are.
        let steps = self.lines.iter().flat_map(|line| line.points.windows(2)).map(|two| two[1].0 / two[0].0);
        let base = steps.fold(10.0, f64::min);
        let x = places().fold(f64::INFINITY, f64::min)..places().fold(0.0, f64::max) * 1.05;
        let label = || ("sans-serif", 13).into_text_style(&area).color(&GREY);
        let mut chart = ChartBuilder::on(&plot)
            .caption(self.title, ("sans-serif", 18).into_text_style(&area).color(&GREY))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(68)
            .build_cartesian_2d(x.log_scale().base(base), y)?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|value| tick(*value))
            .y_label_formatter(&|value| tick(*value))
            .label_style(label())
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.25))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (index, (line, colour)) in self.lines.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
            let points = || line.points.iter().copied().filter(|(_, y)| y.is_finite());
            chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
            let y = LEGEND_TOP + LEGEND_LINE * i32::try_from(index)?;
            legend.draw(&PathElement::new([(4, y), (22, y)], colour.stroke_width(2)))?;
            legend.draw(&Text::new(line.name.clone(), (28, y - LEGEND_LINE / 3), label()))?;
        }
        area.present()?;
        Ok(())
    }
}

/// A round number, as short as it goes.
fn tick(value: f64) -> String {
    match value {
        ..1e4 => format!("{}", (value * 1e3).round() / 1e3),
        ..1e6 => format!("{} k", (value / 1e2).round() / 10.0),
        _ => format!("{} M", (value / 1e5).round() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(points: &[(f64, f64)]) -> String {
        let lines = vec![Line { name: "the line's name".to_owned(), points: points.to_vec() }];
        let mut text = String::new();
        Plot { file: "f", title: "The title", x: "callers", y: "calls/s", lines }.draw(&mut text).unwrap();
        text
    }

    #[test]
    fn a_plot_names_what_it_shows_and_has_nothing_behind_it() {
        for points in [[(1.0, 10.0), (64.0, 20.0)], [(1.0, 10.0), (64.0, 20_000.0)]] {
            let text = svg(&points);
            for word in ["The title", "the line&apos;s name", "callers", "calls/s"] {
                assert!(text.contains(word), "{word} is not in {text}");
            }
            let opaque = text.lines().filter(|line| line.contains("<rect") && !line.contains("fill=\"none\""));
            assert_eq!(opaque.filter(|line| !line.contains("opacity=\"0\"")).count(), 0, "{text}");
            assert_eq!(text.matches("<circle").count(), 2);
        }
    }

    #[test]
    fn points_without_a_value_are_left_out() {
        assert_eq!(svg(&[(1.0, 10.0), (10.0, f64::NAN), (64.0, 20.0)]).matches("<circle").count(), 2);
    }
}
