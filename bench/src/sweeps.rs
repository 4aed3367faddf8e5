//! What the plots show: throughput and latency as callers, functions or workers become more, and what loops and functions
//! cost others as they become more. Ours alone, or beside wasmtime alone; the rows say what is met.

use std::{slice::from_ref, time::Duration};

use greenroom_actors::spec::PoolSpec;

use crate::{
    bare::Bare,
    guests::Guest,
    lab::{Lab, Pace},
    load::Counted,
    ours::Tree,
    plots::{Line, Plot},
    rows::{
        calls::{pool, reuse},
        functions,
        loops::{Felt, Neighbours},
    },
};

const CALLERS: [usize; 7] = [1, 4, 16, 64, 256, 1024, 4096];
const FUNCTIONS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const WORKERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const LOOPS: [usize; 5] = [1, 2, 4, 8, 16];

/// Callers of pools of all sizes.
const CALLERS_OF_POOLS: usize = 64;

/// Measures everything that there is a plot of.
pub fn all(lab: &Lab) -> anyhow::Result<Vec<Plot>> {
    Ok([callers(lab)?, pools(lab)?, loops(lab)?, many_functions(lab)?].into_iter().flatten().collect())
}

fn callers(lab: &Lab) -> anyhow::Result<Vec<Plot>> {
    let bare = Bare::new(Guest::Greet)?;
    let mut throughput = Vec::new();
    let mut latency = Vec::new();
    for (name, fresh) in [("fresh instances", true), ("warm instances", false)] {
        let most = CALLERS[CALLERS.len() - 1];
        let (tree, id) = Tree::of_one(lab, "callers", Guest::Greet, pool(most), reuse(fresh))?;
        let found = sweep(lab.pace, &CALLERS, |callers, time| {
            of(&tree.in_a_loop(from_ref(&id), Guest::Greet, callers, time, true)?)
        })?;
        let alone = sweep(lab.pace, &[0], |_, time| Ok([bare.in_a_loop(fresh, time)?.per_second()]))?;
        let ends = [CALLERS[0], most].map(|callers| (callers as f64, alone[0].1[0]));
        throughput.push(line(name, &found, 0));
        throughput.push(Line { name: format!("{name}, wasmtime alone"), points: ends.to_vec() });
        latency.push(line(&format!("{name}, p50"), &found, 1));
        latency.push(line(&format!("{name}, p99"), &found, 2));
    }
    Ok(vec![
        Plot { file: "throughput-callers", title: "Calls a second", x: "callers", y: "calls/s", lines: throughput },
        Plot { file: "latency-callers", title: "Time of a call", x: "callers", y: "µs", lines: latency },
    ])
}

fn pools(lab: &Lab) -> anyhow::Result<Vec<Plot>> {
    let found = sweep(lab.pace, &WORKERS, |workers, time| {
        let pool = PoolSpec::fixed(workers, 2 * workers).with_buffer(CALLERS_OF_POOLS);
        let (tree, id) = Tree::of_one(lab, "pools", Guest::Greet, pool, reuse(true))?;
        of(&tree.in_a_loop(from_ref(&id), Guest::Greet, CALLERS_OF_POOLS, time, true)?)
    })?;
    let throughput = vec![line("fresh instances, 64 callers", &found, 0)];
    let latency = vec![line("p50", &found, 1), line("p99", &found, 2)];
    Ok(vec![
        Plot { file: "throughput-pool", title: "Calls a second", x: "workers", y: "calls/s", lines: throughput },
        Plot { file: "latency-pool", title: "Time of a call", x: "workers", y: "µs", lines: latency },
    ])
}

fn loops(lab: &Lab) -> anyhow::Result<Vec<Plot>> {
    let found = sweep(lab.pace, &LOOPS, |loops, time| {
        let Felt { neighbour_p99, lateness_p99 } = Neighbours::start(lab, loops)?.feel(time)?;
        Ok([neighbour_p99, lateness_p99])
    })?;
    let lines = vec![line("neighbour's p99", &found, 0), line("lateness of kills, p99", &found, 1)];
    Ok(vec![Plot { file: "kill-lateness", title: "Beside endless loops", x: "loops at once", y: "ms", lines }])
}

fn many_functions(lab: &Lab) -> anyhow::Result<Vec<Plot>> {
    let found = sweep(lab.pace, &FUNCTIONS, |count, time| {
        let found = functions::alone(lab, count, time)?;
        let mib = |bytes: Option<f64>| bytes.unwrap_or(f64::NAN) / f64::from(1 << 20);
        Ok([found.per_second, found.p50 * 1e6, found.p99 * 1e6, mib(found.loaded), mib(found.called)])
    })?;
    let throughput = vec![line("fresh instances, 64 callers", &found, 0)];
    let latency = vec![line("p50", &found, 1), line("p99", &found, 2)];
    let memory = vec![line("loaded", &found, 3), line("called once, next instance ready", &found, 4)];
    Ok(vec![
        Plot { file: "throughput-functions", title: "Calls a second", x: "functions", y: "calls/s", lines: throughput },
        Plot { file: "latency-functions", title: "Time of a call", x: "functions", y: "µs", lines: latency },
        Plot { file: "memory", title: "Resident memory", x: "functions", y: "MiB", lines: memory },
    ])
}

/// Calls a second, and the time of a call in microseconds: half of them, and all but one in a hundred.
fn of(counted: &Counted) -> anyhow::Result<[f64; 3]> {
    Ok([counted.per_second(), counted.latency(0.5)? * 1e6, counted.latency(0.99)? * 1e6])
}

/// Measures at each place, several times over all places, so that a slow moment of the machine spoils no place. Gives
/// the medians.
fn sweep<const N: usize>(
    pace: Pace,
    places: &[usize],
    mut measure: impl FnMut(usize, Duration) -> anyhow::Result<[f64; N]>,
) -> anyhow::Result<Vec<(usize, [f64; N])>> {
    let mut found = vec![[(); N].map(|()| Vec::new()); places.len()];
    for _ in 0..pace.rounds.div_ceil(4) {
        for (place, found) in places.iter().zip(&mut found) {
            for (values, value) in found.iter_mut().zip(measure(*place, pace.round)?) {
                values.push(value);
            }
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok(places.iter().copied().zip(found.into_iter().map(|values| values.map(median))).collect())
}

/// One of the values at each place.
fn line<const N: usize>(name: &str, found: &[(usize, [f64; N])], index: usize) -> Line {
    Line { name: name.to_owned(), points: found.iter().map(|(place, values)| (*place as f64, values[index])).collect() }
}
