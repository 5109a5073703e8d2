//! What the template says of a deployment: its parameters' defaults.

use std::collections::BTreeMap;

use serde::Deserialize;

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");

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
pub fn defaults() -> Result<BTreeMap<String, u64>, serde_saphyr::Error> {
    // What follows has CloudFormation's tags, which are no part of a parameter.
    let parameters = TEMPLATE.split("\nConditions:").next().unwrap_or_default();
    let template: Template = serde_saphyr::from_str(parameters)?;
    let number =
        |(name, parameter): (String, Parameter)| Some((name, parameter.default?.as_u64()?));
    Ok(template.parameters.into_iter().filter_map(number).collect())
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
}
