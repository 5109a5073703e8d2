//! `bench publish`: the functions as they are deployed, in release mode: how large they
//! are, how soon they are ready, and a release that Publish carries to GitHub.

pub mod functions;
mod ready;
mod release;

use local_cloud::FUNCTIONS;
use serde_json::json;

use crate::figures::{Bar, Figure, line, table};
use crate::world::cores;

/// Measures, prints, and says whether every bar is held.
pub async fn publish() -> Result<bool, String> {
    let folder = functions::build().await?;
    let mut figures = Vec::new();
    let mut sizes = Vec::new();
    for name in FUNCTIONS {
        let bytes = functions::zipped(&folder.join(name))?;
        sizes.push(json!({ "function": name, "zipped": bytes }));
        figures.push(Figure {
            name: "zipped_bytes",
            what: format!("zipped size of {name}"),
            value: bytes as f64,
            shown: format!("{:.2} MB", bytes as f64 / 1e6),
            bar: Bar::Most(8e6),
            told: "≤ 8 MB".into(),
        });
    }
    let ready = ready::measure(&folder).await?;
    for (name, seconds) in &ready.beyond {
        figures.push(Figure {
            name: "ready_seconds",
            what: format!("exec to first /next of {name}, beyond an empty function"),
            value: *seconds,
            shown: format!("{:.1} ms", seconds * 1e3),
            bar: Bar::Most(0.030),
            told: "≤ 30 ms".into(),
        });
    }
    let many = release::measure(&folder, release::MANY, false).await?;
    let large = release::measure(&folder, release::LARGE, true).await?;
    figures.push(Figure::ratio(
        "wall_over_bound",
        "publishing 16 × 64 MB ÷ max(bytes ÷ slower of source and sink, writes 1 s apart)",
        many.seconds / many.bound(),
        Bar::Most(1.2),
    ));
    figures.push(Figure {
        name: "peak_bytes",
        what: "peak RSS of Publish, an asset of 1.9 GB".into(),
        value: large.peak as f64,
        shown: format!("{:.0} MB", large.peak as f64 / 1e6),
        bar: Bar::Most(150e6),
        told: "≤ 150 MB".into(),
    });
    figures.push(Figure {
        name: "sent_again",
        what: "uploads of a second call after a complete upload".into(),
        value: f64::from(large.again),
        shown: format!("{} of {}", large.again, large.uploads),
        bar: Bar::Most(0.0),
        told: "0".into(),
    });
    println!("{}", table(&figures));
    let more = json!({
        "cores": cores(),
        "sizes": sizes,
        "empty_ready_seconds": ready.empty,
        "many": many,
        "large": large,
    });
    println!("{}", line(&figures, &more));
    Ok(figures.iter().all(Figure::holds))
}
