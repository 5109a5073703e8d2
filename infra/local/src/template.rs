//! What the template says of a deployment: its parameters' defaults.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;

const TEMPLATE: &str = include_str!("../../template.yaml");
/// Its parameters that are waits of a build.
const WAITS: [&str; 4] = [
    "PollSoonSeconds",
    "PollNormalSeconds",
    "PollLongSeconds",
    "AwaitDependenciesSeconds",
];

#[derive(Deserialize)]
struct Template {
    #[serde(rename = "Parameters")]
    parameters: BTreeMap<String, Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "Default")]
    default: Option<serde_json::Value>,
}

/// The defaults of the template's parameters that are numbers, by name.
pub fn defaults() -> Result<BTreeMap<String, u64>, Error> {
    // What follows has CloudFormation's tags, which are no part of a parameter.
    let parameters = TEMPLATE.split("\nConditions:").next().unwrap_or_default();
    let template: Template =
        serde_saphyr::from_str(parameters).map_err(|error| Error::of("template.yaml", error))?;
    let number =
        |(name, parameter): (String, Parameter)| Some((name, parameter.default?.as_u64()?));
    Ok(template.parameters.into_iter().filter_map(number).collect())
}

/// The parameters that are waits of a build, as a release that is so many times as fast
/// needs them: in whole seconds, one at least.
pub fn waits(speed: f64) -> Result<[(&'static str, String); 4], Error> {
    let defaults = defaults()?;
    let wait = |name: &str| defaults.get(name).copied().unwrap_or_default() as f64;
    Ok(WAITS.map(|name| (name, (wait(name) / speed).ceil().max(1.0).to_string())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_s_numbers_are_read() {
        let defaults = super::defaults().unwrap();
        assert_eq!(defaults["PollSoonSeconds"], 5);
        assert_eq!(defaults["ReleaseSeconds"], 604_800);
        assert!(!defaults.contains_key("GitHubToken"));
    }

    #[test]
    fn waits_are_as_much_shorter_as_a_release_is_faster() {
        let waits = super::waits(60.0).unwrap().map(|(_, wait)| wait);
        assert_eq!(waits, ["1", "1", "15", "60"]);
        let waits = super::waits(1.0).unwrap().map(|(_, wait)| wait);
        assert_eq!(waits, ["5", "30", "900", "3600"]);
    }
}
