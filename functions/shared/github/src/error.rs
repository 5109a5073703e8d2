//! What GitHub's answers mean, classified once, here.

use std::time::Duration;

use commons_domain::times::LIMITED_WAIT;
use reqwest::header::HeaderMap;

/// Why a call did not do what it should. Each names the call, never the token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401.
    #[error("GitHub does not accept the token for {call}: {message}")]
    Unauthorized {
        /// Method and path.
        call: String,
        /// GitHub's message.
        message: String,
    },
    /// 403 that is no rate limit.
    #[error("the token may not {call}: {message}")]
    Forbidden {
        /// Method and path.
        call: String,
        /// GitHub's message.
        message: String,
    },
    /// 404: not there, or not visible to the token.
    #[error("GitHub finds nothing at {call}: {message}")]
    NotFound {
        /// Method and path.
        call: String,
        /// GitHub's message.
        message: String,
    },
    /// 409.
    #[error("GitHub refuses {call} now: {message}")]
    Conflict {
        /// Method and path.
        call: String,
        /// GitHub's message.
        message: String,
    },
    /// 410.
    #[error("{call} is gone: {message}")]
    Gone {
        /// Method and path.
        call: String,
        /// GitHub's message.
        message: String,
    },
    /// 422.
    #[error("GitHub cannot process {call}: {message}")]
    Unprocessable {
        /// Method and path.
        call: String,
        /// GitHub's message.
        message: String,
    },
    /// 416: there are fewer bytes than that.
    #[error("{call} has fewer bytes than were asked for: {message}")]
    RangeNotSatisfiable {
        /// Method and path.
        call: String,
        /// The server's message.
        message: String,
    },
    /// 403 or 429 of a primary or secondary limit.
    #[error("GitHub limits the rate at {call}: {message}")]
    RateLimited {
        /// Method and path.
        call: String,
        /// How long GitHub asks to wait, if it says.
        retry_after: Option<Duration>,
        /// GitHub's message.
        message: String,
    },
    /// 5xx, a time-out, or no connection.
    #[error("GitHub cannot be seen at {call}: {message}")]
    Unavailable {
        /// Method and path.
        call: String,
        /// Whether the request may have reached GitHub.
        sent: bool,
        /// What happened.
        message: String,
    },
    /// What is stored to authorise calls cannot be used.
    #[error("{0}")]
    Secret(String),
    /// What is stored to authorise calls cannot be read now.
    #[error("{0}")]
    SecretNotRead(String),
    /// A redirect that is not followed.
    #[error("GitHub redirects {call} to where we do not go: {message}")]
    UnsafeRedirect {
        /// Method and path.
        call: String,
        /// Where it leads.
        message: String,
    },
    /// An answer that is not what GitHub documents.
    #[error("GitHub answered {call} unexpectedly: {message}")]
    Unexpected {
        /// Method and path.
        call: String,
        /// What is odd about it.
        message: String,
    },
}

impl Error {
    /// No news: GitHub could not be asked, which says nothing about a build.
    pub fn is_cannot_see(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Unavailable { .. }
                | Self::SecretNotRead(_)
                | Self::Unexpected { .. }
        )
    }

    /// How long GitHub asks to wait before the next call. After a limit that names no time
    /// that is a minute
    /// ([GitHub: exceeding the rate limit](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit)).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(retry_after.unwrap_or(LIMITED_WAIT)),
            _ => None,
        }
    }

    /// A name that is there already: 422 with that among its reasons. Of a ref GitHub says
    /// so in words.
    pub fn is_already_there(&self) -> bool {
        matches!(self, Self::Unprocessable { message, .. }
            if message.contains("already_exists") || message.contains("already exists"))
    }

    /// Whether a write surely did not happen.
    pub fn definitely_not_done(&self) -> bool {
        !matches!(
            self,
            Self::Unavailable { sent: true, .. } | Self::Unexpected { .. }
        )
    }

    /// From an HTTP status, its headers and the beginning of its body. `now` is in
    /// seconds since 1970, for `x-ratelimit-reset`.
    pub(crate) fn of_status(
        call: &str,
        status: u16,
        headers: &HeaderMap,
        body: &str,
        now: i64,
    ) -> Self {
        let call = call.to_owned();
        let message = message_of(body).unwrap_or_else(|| format!("status {status}"));
        let number = |name: &str| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.parse::<i64>().ok())
        };
        if status == 403 || status == 429 {
            let after = number("retry-after").or_else(|| {
                let used_up = number("x-ratelimit-remaining") == Some(0);
                number("x-ratelimit-reset")
                    .filter(|_| used_up)
                    .map(|reset| reset - now)
            });
            if status == 429 || after.is_some() || message.to_lowercase().contains("rate limit") {
                let retry_after =
                    after.map(|seconds| Duration::from_secs(seconds.max(1).unsigned_abs()));
                return Self::RateLimited {
                    call,
                    retry_after,
                    message,
                };
            }
        }
        match status {
            401 => Self::Unauthorized { call, message },
            403 => Self::Forbidden { call, message },
            404 => Self::NotFound { call, message },
            409 => Self::Conflict { call, message },
            410 => Self::Gone { call, message },
            416 => Self::RangeNotSatisfiable { call, message },
            400 | 422 => Self::Unprocessable { call, message },
            500.. => Self::Unavailable {
                call,
                sent: true,
                message,
            },
            _ => Self::Unexpected { call, message },
        }
    }

    /// From a request that got no answer. Its URL is left out: it may be signed.
    pub(crate) fn of_transport(call: &str, error: reqwest::Error) -> Self {
        let sent = !error.is_connect();
        let message = if error.is_timeout() {
            "no answer in time".into()
        } else {
            error.without_url().to_string()
        };
        Self::Unavailable {
            call: call.to_owned(),
            sent,
            message,
        }
    }
}

/// GitHub's message with the reasons that stand beside it, as
/// `Validation Failed (name already_exists)`.
fn message_of(body: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    let message = json["message"].as_str()?;
    let reasons = json["errors"].as_array().into_iter().flatten();
    let reasons: Vec<String> = reasons
        .filter_map(|reason| {
            let code = reason["code"].as_str()?;
            let field = reason["field"].as_str().unwrap_or_default();
            let said = reason["message"].as_str().unwrap_or_default();
            let words = [field, code, said];
            let words = words.into_iter().filter(|word| !word.is_empty());
            Some(words.collect::<Vec<_>>().join(" "))
        })
        .collect();
    Some(if reasons.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", reasons.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn classify(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Error {
        let headers = headers
            .iter()
            .map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v)))
            .collect();
        Error::of_status("GET /x", status, &headers, body, 1_000)
    }

    #[test]
    fn limits_are_told_from_refusals() {
        assert!(matches!(
            classify(403, &[], r#"{"message":"Resource not accessible"}"#),
            Error::Forbidden { .. }
        ));
        let limited = |error: Error| {
            assert!(matches!(error, Error::RateLimited { .. }), "{error}");
            error.retry_after().map(|wait| wait.as_secs())
        };
        assert_eq!(limited(classify(429, &[("retry-after", "7")], "")), Some(7));
        let reset = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1060"),
        ];
        assert_eq!(limited(classify(403, &reset, "")), Some(60));
        assert_eq!(
            limited(classify(
                403,
                &[],
                r#"{"message":"You have exceeded a secondary rate limit"}"#
            )),
            Some(60)
        );
    }

    #[test]
    fn reasons_stand_beside_the_message() {
        let body = r#"{"message":"Validation Failed","errors":[
            {"resource":"ReleaseAsset","code":"already_exists","field":"name"},
            {"code":"custom","message":"too many"}]}"#;
        let there = classify(422, &[], body);
        let told = "Validation Failed (name already_exists, custom too many)";
        assert!(there.to_string().ends_with(told), "{there}");
        assert!(there.is_already_there());
        assert!(!classify(422, &[], r#"{"message":"Validation Failed"}"#).is_already_there());
    }

    #[test]
    fn no_news_is_no_refusal() {
        for status in [500, 502, 503] {
            let error = classify(status, &[], "");
            assert!(
                error.is_cannot_see() && !error.definitely_not_done(),
                "{status}"
            );
        }
        for status in [401, 404, 409, 410, 422] {
            let error = classify(status, &[], "");
            assert!(
                !error.is_cannot_see() && error.definitely_not_done(),
                "{status}"
            );
        }
    }
}
