//! `greenroom check`: everything a start would do, short of starting.

use std::{fmt, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, ValueHint};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use super::{
    RegistryOptions,
    failure::Failure,
    options::Format,
    output::{counted, harmless, print_json, print_text, print_to_stderr, stderr_has_colours},
};
use crate::{
    Checked,
    registry::Diagnostics,
    spec::{PoolSpec, Sizing},
};

pub(super) const HELP: &str = "\
Exit code 1 if there is any error; warnings do not count. Errors and warnings go to stderr, the table to stdout;
with --format json, {entries, diagnostics} goes to stdout.

Example:
  greenroom check registry-examples/compute";

/// What `check` is told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The registry's folder
    #[arg(value_hint = ValueHint::DirPath)]
    root: PathBuf,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Checks and prints what was found.
pub(super) fn check(options: &Options, format: Format) -> Result<ExitCode, Failure> {
    let checked = crate::check(&options.root, &options.registry.load(), options.registry.cache())
        .context("nothing can be compiled")?;
    let rows = rows(&checked);
    match format {
        Format::Json => print_json(&json!({ "entries": rows, "diagnostics": checked.diagnostics }))?,
        Format::Text => {
            if !checked.diagnostics.is_empty() {
                print_to_stderr(&checked.diagnostics.render(stderr_has_colours()));
            }
            match rows.as_slice() {
                [] if checked.diagnostics.has_errors() => ExitCode::FAILURE,
                [] => print_text("no entries")?,
                rows => print_text(&format!("{}\n{}", table(rows), summary(rows.len(), &checked.diagnostics)))?,
            }
        }
    };
    Ok(if checked.diagnostics.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One entry as the table shows it.
#[derive(Serialize)]
struct Row {
    id: String,
    kind: String,
    file: String,
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    state: State,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Error,
    Inert,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Inert => "inert",
        })
    }
}

fn rows(checked: &Checked) -> Vec<Row> {
    let row = |entry: &crate::registry::Entry| {
        let compiled = checked.functions.binary_search_by(|(id, _)| id.cmp(&entry.id)).ok();
        let signature = compiled.and_then(|found| checked.functions.get(found)).map(|(_, signature)| signature);
        let is_about = |of: Option<&crate::spec::FunctionId>| of == Some(&entry.id);
        let state = if !entry.sound || checked.diagnostics.errors().any(|error| is_about(error.entry())) {
            State::Error
        } else if entry.inert {
            State::Inert
        } else if checked.diagnostics.warnings().any(|warning| is_about(warning.entry())) {
            State::Warning
        } else {
            State::Ok
        };
        Row {
            id: entry.id.to_string(),
            kind: entry.kind.clone(),
            file: entry.file.clone(),
            line: entry.line,
            signature: signature.map(|signature| match signature {
                Some(signature) => format!("func{signature}"),
                None => "handles HTTP requests".to_owned(),
            }),
            summary: entry.summary.clone(),
            pool: checked.registry.function(&entry.id).map(|function| pool(&function.pool)),
            state,
        }
    };
    checked.registry.entries().iter().map(row).collect()
}

/// The shape of a pool in a few words.
pub(super) fn pool(pool: &PoolSpec) -> String {
    match pool.sizing {
        Sizing::Inline => "inline".to_owned(),
        Sizing::Lazy { max_size, .. } => format!("lazy, up to {max_size}"),
        Sizing::Static { workers, size } if workers == size => format!("static, {size}"),
        Sizing::Static { workers, size } => format!("static, {workers} of {size}"),
        Sizing::Adaptive { max_size, warm_start: true, .. } => format!("adaptive, 1 to {max_size}"),
        Sizing::Adaptive { max_size, warm_start: false, .. } => format!("adaptive, up to {max_size}"),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["id", "kind", "signature", "pool", "state"]);
    // Lines break only where somebody would see them broken.
    if let Some((terminal_size::Width(width), _)) = terminal_size::terminal_size_of(std::io::stdout()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for row in rows {
        let signature = row.signature.as_ref().unwrap_or(&row.summary);
        let cells =
            [&row.id, &row.kind, signature, row.pool.as_ref().unwrap_or(&String::new()), &row.state.to_string()]
                .map(|cell| harmless(cell));
        table.add_row(cells);
    }
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n").collect()
}

fn summary(entries: usize, diagnostics: &Diagnostics) -> String {
    let entries = match entries {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    };
    let errors = counted(diagnostics.errors().count(), "error");
    let warnings = counted(diagnostics.warnings().count(), "warning");
    format!("{entries}: {errors}, {warnings}")
}
