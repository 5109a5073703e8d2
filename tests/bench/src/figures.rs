//! What was measured, beside its bars.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// What a number may be.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// At most.
    Most(f64),
    /// At least.
    Least(f64),
}

/// One figure.
#[derive(Debug)]
pub struct Figure {
    /// Its name, for programs.
    pub name: &'static str,
    /// What it is.
    pub what: String,
    /// The number.
    pub value: f64,
    /// The number as people read it.
    pub shown: String,
    /// The bar.
    pub bar: Bar,
    /// The bar as people read it.
    pub told: String,
}

impl Figure {
    /// A ratio.
    pub fn ratio(name: &'static str, what: &str, value: f64, bar: Bar) -> Self {
        let told = match bar {
            Bar::Most(most) => format!("≤ {most}"),
            Bar::Least(least) => format!("≥ {least}"),
        };
        Self {
            name,
            what: what.to_owned(),
            value,
            shown: format!("{value:.2}"),
            bar,
            told,
        }
    }

    /// Seconds that may be at most so many.
    pub fn seconds(name: &'static str, what: &str, value: f64, most: f64) -> Self {
        Self {
            name,
            what: what.to_owned(),
            value,
            shown: format!("{value:.2} s"),
            bar: Bar::Most(most),
            told: format!("≤ {most} s"),
        }
    }

    /// Whether it is within its bar; what is no number is not.
    pub fn holds(&self) -> bool {
        match self.bar {
            Bar::Most(most) => self.value <= most,
            Bar::Least(least) => self.value >= least,
        }
    }
}

/// The table for people.
pub fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["figure", "measured", "bar", ""]);
    for figure in figures {
        let holds = if figure.holds() { "holds" } else { "MISSED" };
        table.add_row([&figure.what, &figure.shown, &figure.told, holds]);
    }
    table.to_string()
}

/// The line for programs.
pub fn line(figures: &[Figure], more: &Value) -> String {
    let all: Vec<Value> = figures
        .iter()
        .map(|figure| {
            let bar = match figure.bar {
                Bar::Most(most) => json!({ "at_most": most }),
                Bar::Least(least) => json!({ "at_least": least }),
            };
            json!({"name": figure.name, "value": figure.value, "bar": bar, "holds": figure.holds()})
        })
        .collect();
    json!({"figures": all, "measured": more}).to_string()
}

/// Of three, the one in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_held_or_missed() {
        let most = |value| Figure::ratio("n", "w", value, Bar::Most(1.25)).holds();
        assert!(most(1.25) && !most(1.26) && !most(f64::NAN));
        let least = |value| Figure::ratio("n", "w", value, Bar::Least(1.8)).holds();
        assert!(least(1.8) && !least(1.79) && !least(f64::NAN));
        let missed = [Figure::ratio("n", "what", 1.3, Bar::Most(1.25))];
        assert!(table(&missed).contains("MISSED"));
        assert!(line(&missed, &Value::Null).contains(r#""holds":false"#));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert!(median([]).is_nan());
    }
}
