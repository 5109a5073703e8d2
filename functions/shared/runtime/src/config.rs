//! Configuration. Secrets are not in the environment: their names are.

use std::env;

use commons_domain::budget::Limits;
use commons_domain::names::RepoName;
use commons_domain::times::Speed;

/// Where the notes' template is looked for unless it is said.
const NOTES_TEMPLATE: &str = ".github/release-notes.md";

/// What the environment says.
#[derive(Debug, Clone)]
pub struct Config {
    /// `TABLE`: the `build_runs` table.
    pub table: String,
    /// `BUCKET`: artifacts, asset lists and plans.
    pub bucket: String,
    /// `GITHUB_API_URL`: `https://api.github.com`, or a GitHub Enterprise Server's.
    pub github_api_url: String,
    /// `GITHUB_TOKEN_SECRET`: id of the secret that holds the token.
    pub github_token_secret: String,
    /// `RELEASE_REPOSITORY`: `owner/name`.
    pub release_repository: RepoName,
    /// `MANIFEST_PATH`: the manifest's path in the release repository.
    pub manifest_path: String,
    /// `NOTES_TEMPLATE`: the path there of a template for what a release says of itself,
    /// which need not be there.
    pub notes_template: String,
    /// `STATE_MACHINE_ARN`: the release state machine.
    pub state_machine_arn: String,
    /// `SPEED`: simulated seconds per real second, 1 but in rehearsals.
    pub speed: Speed,
    /// `WRITES_PER_MINUTE`, `WRITES_PER_HOUR`, `SECONDS_BETWEEN_WRITES`: what GitHub may
    /// be asked to create.
    pub write_limits: Limits,
    /// `PRIVATE_TRANSFERS`: whether artifacts may come from private addresses, and over
    /// http.
    pub private_transfers: bool,
    /// `SIGNING_KEY`: id, ARN or alias of the KMS key that signs releases; empty for none.
    pub signing_key: Option<String>,
    /// `TAG_COMPONENTS`: whether every component is tagged at its pin before its release is
    /// seen.
    pub tag_components: bool,
}

/// Every variable that is missing or malformed.
#[derive(Debug, thiserror::Error)]
#[error("the environment lacks {}", .0.join(", "))]
pub struct MissingVariables(pub Vec<String>);

impl Config {
    /// Reads the environment, and reports every fault at once.
    pub fn from_env() -> Result<Self, MissingVariables> {
        Self::from(|name| env::var(name).ok())
    }

    /// As [`Config::from_env`], from any source of variables.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Self, MissingVariables> {
        let mut missing = Vec::new();
        let mut text = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| {
                    missing.push(name.to_owned());
                    String::new()
                })
        };
        let table = text("TABLE");
        let bucket = text("BUCKET");
        let github_api_url = text("GITHUB_API_URL");
        let github_token_secret = text("GITHUB_TOKEN_SECRET");
        let release_repository = text("RELEASE_REPOSITORY");
        let manifest_path = text("MANIFEST_PATH");
        let state_machine_arn = text("STATE_MACHINE_ARN");
        let notes_template = variable("NOTES_TEMPLATE")
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| NOTES_TEMPLATE.to_owned());
        let speed = variable("SPEED").unwrap_or_else(|| "1".into());
        let per_minute = variable("WRITES_PER_MINUTE").unwrap_or_else(|| "80".into());
        let per_hour = variable("WRITES_PER_HOUR").unwrap_or_else(|| "500".into());
        let apart = variable("SECONDS_BETWEEN_WRITES").unwrap_or_else(|| "1".into());
        let repository = RepoName::new(&release_repository);
        if let Err(error) = &repository
            && !release_repository.is_empty()
        {
            missing.push(format!("a valid RELEASE_REPOSITORY ({error})"));
        }
        let speed = speed
            .parse::<f64>()
            .ok()
            .filter(|speed| speed.is_finite() && *speed > 0.0);
        if speed.is_none() {
            missing.push("a SPEED above 0".into());
        }
        let mut limit = |name: &str, value: &str, least: u64| {
            let number = value.parse::<u32>().ok().map(u64::from);
            let number = number.filter(|number| *number >= least);
            if number.is_none() {
                missing.push(format!("a {name} of {least} or more"));
            }
            number.unwrap_or(least)
        };
        let per_minute = limit("WRITES_PER_MINUTE", &per_minute, 1) as usize;
        let per_hour = limit("WRITES_PER_HOUR", &per_hour, 1) as usize;
        let apart = limit("SECONDS_BETWEEN_WRITES", &apart, 0);
        let mut flag = |name: &str| {
            let value = variable(name).unwrap_or_else(|| "false".into());
            value.parse().unwrap_or_else(|_| {
                missing.push(format!("a {name} that is true or false"));
                false
            })
        };
        let private_transfers = flag("PRIVATE_TRANSFERS");
        let tag_components = flag("TAG_COMPONENTS");
        let signing_key = variable("SIGNING_KEY").filter(|key| !key.is_empty());
        match (repository, speed.map(Speed)) {
            (Ok(release_repository), Some(speed)) if missing.is_empty() => Ok(Self {
                table,
                bucket,
                github_api_url,
                github_token_secret,
                release_repository,
                manifest_path,
                notes_template,
                state_machine_arn,
                speed,
                write_limits: Limits::new(per_minute, per_hour, apart, speed),
                private_transfers,
                signing_key,
                tag_components,
            }),
            _ => Err(MissingVariables(missing)),
        }
    }
}

/// GitHub's address for people, from its API's: `https://github.com` for
/// `https://api.github.com`, a GitHub Enterprise Server's without `/api/v3`.
pub fn web_address(api: &str) -> String {
    let api = api.trim_end_matches('/');
    if api == "https://api.github.com" {
        "https://github.com".into()
    } else {
        api.trim_end_matches("/api/v3").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONAL: [&str; 5] = [
        "WRITES",
        "SPEED",
        "PRIVATE_TRANSFERS",
        "SIGNING_KEY",
        "TAG_COMPONENTS",
    ];

    #[test]
    fn every_missing_variable_is_named_at_once() {
        let error = Config::from(|name| (name == "TABLE").then(|| "t".into()))
            .unwrap_err()
            .to_string();
        for name in [
            "BUCKET",
            "GITHUB_API_URL",
            "GITHUB_TOKEN_SECRET",
            "RELEASE_REPOSITORY",
            "MANIFEST_PATH",
            "STATE_MACHINE_ARN",
        ] {
            assert!(error.contains(name), "{name} is not in: {error}");
        }
        assert!(!error.contains("TABLE,"));
    }

    #[test]
    fn a_speed_of_nothing_is_refused() {
        let error = Config::from(|name| match name {
            "SPEED" => Some("0".into()),
            _ if OPTIONAL.iter().any(|optional| name.contains(optional)) => None,
            _ => Some("o/r".into()),
        });
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "the environment lacks a SPEED above 0");
    }

    #[test]
    fn what_may_be_written_is_github_s_limit_unless_it_is_said() {
        let with = |variables: &'static [(&str, &str)]| {
            Config::from(|name| {
                let said = variables.iter().find(|(key, _)| *key == name);
                match (said, name) {
                    (Some((_, value)), _) => Some((*value).to_owned()),
                    (None, "RELEASE_REPOSITORY") => Some("o/r".into()),
                    (None, _) if OPTIONAL.iter().any(|optional| name.contains(optional)) => None,
                    (None, _) => Some("x".into()),
                }
            })
        };
        let usual = with(&[]).unwrap().write_limits;
        assert_eq!(usual, Limits::new(80, 500, 1, Speed(1.0)));
        let said = with(&[("WRITES_PER_HOUR", "50"), ("SPEED", "60")]).unwrap();
        assert_eq!(said.write_limits, Limits::new(80, 50, 1, Speed(60.0)));
        let none = with(&[("WRITES_PER_MINUTE", "0")]).unwrap_err().to_string();
        assert!(none.contains("a WRITES_PER_MINUTE of 1 or more"), "{none}");
    }

    #[test]
    fn links_go_to_the_pages_of_the_api_s_host() {
        assert_eq!(web_address("https://api.github.com"), "https://github.com");
        assert_eq!(
            web_address("https://ghe.example/api/v3/"),
            "https://ghe.example"
        );
    }
}
