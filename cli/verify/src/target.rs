//! Which release: a version and a repository, or the address of its page.

use commons_domain::names::{RepoName, Version};
use url::Url;

/// A release, and the API that tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is published.
    pub repository: RepoName,
    /// Its tag.
    pub version: Version,
    /// GitHub's API, without a slash at its end.
    pub api: String,
}

const GITHUB: &str = "https://api.github.com";

impl Target {
    /// From what a person says; `api` overrides where that is. A fault is one sentence.
    pub fn parse(what: &str, repository: Option<&str>, api: Option<&str>) -> Result<Self, String> {
        let (repository, version, own_api) = if what.contains("://") {
            let (repository, version, api) = page(what)?;
            (repository, version, Some(api))
        } else {
            let repository = repository
                .ok_or("--repository is missing: of which repository is it a release?")?;
            (repository.to_owned(), what.to_owned(), None)
        };
        let api = api.map(str::to_owned).or(own_api);
        let api = api.unwrap_or_else(|| GITHUB.to_owned());
        Url::parse(&api).map_err(|error| format!("'{api}' is not a URL: {error}"))?;
        Ok(Self {
            repository: RepoName::new(&repository).map_err(|error| error.to_string())?,
            version: Version::new(&version).map_err(|error| error.to_string())?,
            api: api.trim_end_matches('/').to_owned(),
        })
    }
}

/// Repository, version and API of `https://<host>/<owner>/<name>/releases/tag/<version>`.
fn page(text: &str) -> Result<(String, String, String), String> {
    let wrong = || {
        format!(
            "'{text}' is not a release's page, as https://github.com/OWNER/NAME/releases/tag/VERSION"
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let parts: Vec<&str> = url.path_segments().ok_or_else(wrong)?.collect();
    let [owner, name, "releases", "tag", version] = parts[..] else {
        return Err(wrong());
    };
    let api = match url.host_str() {
        Some("github.com") => GITHUB.to_owned(),
        _ => format!("{}/api/v3", url.origin().ascii_serialization()),
    };
    Ok((format!("{owner}/{name}"), version.to_owned(), api))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_s_address_says_all() {
        let page = "https://github.com/o/r/releases/tag/v0.1.0";
        let target = Target::parse(page, None, None).unwrap();
        assert_eq!(target.repository.as_str(), "o/r");
        assert_eq!(target.version.as_str(), "v0.1.0");
        assert_eq!(target.api, "https://api.github.com");
        let own = Target::parse("https://ghe.example/o/r/releases/tag/v0.1.0", None, None);
        assert_eq!(own.unwrap().api, "https://ghe.example/api/v3");
        let given = Target::parse(page, None, Some("http://127.0.0.1:1/"));
        assert_eq!(given.unwrap().api, "http://127.0.0.1:1");
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_in_a_sentence() {
        let told = |what, repository| Target::parse(what, repository, None).unwrap_err();
        assert!(told("v0.1.0", None).starts_with("--repository is missing"));
        assert!(told("0.1.0", Some("o/r")).contains("neither v<semver>"));
        assert!(told("https://github.com/o/r", None).contains("is not a release's page"));
        assert!(told("v0.1.0", Some("r")).contains("not a repository name"));
    }
}
