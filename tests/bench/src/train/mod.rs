//! `bench train`: how fast a release goes from one component to the next, what it takes of
//! GitHub and AWS, and how much it bears.

mod chain;
mod counts;
mod door;
mod graphs;
mod logged;
mod makespan;
mod many;
mod meter;
mod place;
pub mod plan;
mod priced;
mod prices;
mod virtually;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::figures::{Bar, Figure, line, table};
use crate::publish::functions;
use crate::usage::{self, Watch};
use crate::world::cores;

/// How often everything is measured.
const REPEATS: u64 = 3;

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// The plan of a graph of ten thousand.
    Plan,
    /// Transitions and calls of GitHub per build.
    Counts,
    /// Makespans of two hundred graphs.
    Makespan,
    /// From one component to the next with webhooks.
    Pushed,
    /// The same by polling.
    Polled,
    /// Two hundred webhooks at once.
    Door,
    /// Twenty releases at once.
    Many,
    /// What AWS asks for.
    Priced,
}

/// A figure of one repeat, and how repeats are put together.
#[derive(Debug)]
pub struct Measured {
    figure: Figure,
    /// No repeat may miss the bar; else the median counts.
    never: bool,
}

impl Measured {
    fn median(figure: Figure) -> Self {
        let never = false;
        Self { figure, never }
    }

    fn worst(figure: Figure) -> Self {
        let never = true;
        Self { figure, never }
    }
}

impl Row {
    async fn measure(
        self,
        functions: &Path,
        repeat: u64,
    ) -> Result<(Vec<Measured>, Value), String> {
        let measured = match self {
            Self::Plan => plan::measure(repeat).await?,
            Self::Counts => return counts::measure(repeat).await,
            Self::Makespan => makespan::measure(repeat).await?,
            Self::Pushed => chain::pushed(functions).await?,
            Self::Polled => chain::polled(functions, repeat).await?,
            Self::Door => door::measure(functions).await?,
            Self::Many => many::measure(functions).await?,
            Self::Priced => return priced::measure(functions, repeat).await,
        };
        Ok((measured, Value::Null))
    }

    /// A figure that could not be measured misses its bar.
    fn failed(self) -> Figure {
        Figure {
            name: "not_measured",
            what: format!("{self:?}"),
            value: f64::NAN,
            shown: "could not be measured".into(),
            bar: Bar::Most(0.0),
            told: String::new(),
        }
    }
}

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// All of it unless told otherwise.
    rows: Vec<Row>,
    /// Where functions are that were built before.
    #[arg(long, hide = true)]
    functions: Option<PathBuf>,
}

/// Measures, prints, and says whether every bar is held.
pub async fn train(arguments: Arguments) -> Result<bool, String> {
    let rows = match &arguments.rows[..] {
        [] => Row::value_variants(),
        some => some,
    };
    let functions = match arguments.functions {
        Some(folder) => folder,
        None => functions::build().await?,
    };
    let (mut figures, mut more) = (Vec::new(), Vec::new());
    for row in rows {
        let mut repeats = Vec::new();
        for repeat in 1..=REPEATS {
            let (began, watch) = (Instant::now(), Watch::start()?);
            let measured = row.measure(&functions, repeat).await;
            let took = watch.stop()?;
            let told = json!({
                "row": format!("{row:?}"),
                "repeat": repeat,
                "seconds": began.elapsed().as_secs_f64(),
                "cores_busy": took.busy / took.seconds,
                "load": usage::load()?,
            });
            repeats.push(measured.map(|(measured, detail)| {
                tell(&measured, *row, repeat);
                more.push(with(told, &measured, detail));
                measured
            }));
        }
        match repeats.into_iter().collect::<Result<Vec<_>, String>>() {
            Ok(repeats) => figures.extend(together(repeats)),
            Err(why) => {
                eprintln!("{row:?}: {why}");
                figures.push(row.failed());
            }
        }
    }
    println!("{}", table(&figures));
    let more = json!({ "cores": cores(), "repeats": more });
    println!("{}", line(&figures, &more));
    Ok(figures.iter().all(Figure::holds))
}

fn tell(measured: &[Measured], row: Row, repeat: u64) {
    for Measured { figure, .. } in measured {
        println!("{row:?} {repeat}: {}: {}", figure.what, figure.shown);
    }
}

fn with(mut told: Value, measured: &[Measured], detail: Value) -> Value {
    let values = measured.iter().map(|Measured { figure, .. }| {
        let value = serde_json::Number::from_f64(figure.value);
        (figure.name.to_owned(), value.into())
    });
    told["values"] = Value::Object(values.collect());
    told["detail"] = detail;
    told
}

/// Of each figure the repeat in the middle, or the worst where none may miss.
fn together(repeats: Vec<Vec<Measured>>) -> Vec<Figure> {
    let mut columns: Vec<Vec<Measured>> = Vec::new();
    for repeat in repeats {
        columns.resize_with(columns.len().max(repeat.len()), Vec::new);
        for (column, measured) in columns.iter_mut().zip(repeat) {
            column.push(measured);
        }
    }
    let chosen = columns.into_iter().filter_map(|mut column| {
        // All bars here are upper ones.
        column.sort_by(|one, other| one.figure.value.total_cmp(&other.figure.value));
        let never = column.first()?.never;
        let at = if never {
            column.len() - 1
        } else {
            column.len() / 2
        };
        Some(column.swap_remove(at).figure)
    });
    chosen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(value: f64) -> Vec<Measured> {
        let figure = || Figure::seconds("n", "w", value, 1.0);
        vec![Measured::median(figure()), Measured::worst(figure())]
    }

    #[test]
    fn the_median_counts_or_the_worst() {
        let figures = together(vec![repeat(0.5), repeat(2.0), repeat(0.7)]);
        let values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [0.7, 2.0]);
        assert!(figures[0].holds() && !figures[1].holds());
    }
}
