//! Many releases at once.

use std::path::Path;
use std::time::Instant;

use futures_util::future::join_all;

use super::Measured;
use super::place::{Place, RELEASE_REPOSITORY, Setting};
use crate::figures::{Bar, Figure};

const RELEASES: usize = 20;
/// As the demo has it.
const SPEED: f64 = 60.0;

/// Releases all at once, of the same six repositories.
pub async fn measure(functions: &Path) -> Result<Vec<Measured>, String> {
    let place = Place::start(functions, setting()?).await?;
    let began = Instant::now();
    let versions: Vec<String> = (0..RELEASES).map(|n| format!("v0.1.{n}")).collect();
    for version in &versions {
        place.github.create_tag(RELEASE_REPOSITORY, version);
    }
    let ends = versions.iter().map(|version| place.published(version));
    let ends = join_all(ends).await;
    for end in &ends {
        if let Err(why) = end {
            eprintln!("{why}");
        }
    }
    let published = ends.iter().filter(|end| end.is_ok()).count();
    let seconds = began.elapsed().as_secs_f64();
    Ok(vec![Measured::worst(Figure {
        name: "not_published",
        what: format!("{RELEASES} releases of six components at once"),
        value: (RELEASES - published) as f64,
        shown: format!("{published} published in {seconds:.0} s"),
        bar: Bar::Most(0.0),
        told: "all publish".into(),
    })])
}

/// A rehearsal, with GitHub's own budget of writes at its speed.
pub fn setting() -> Result<Setting, String> {
    let waits = local_cloud::waits(SPEED).map_err(|error| error.to_string())?;
    Ok(Setting {
        speed: SPEED,
        webhooks: true,
        parameters: waits.into(),
    })
}
