//! What AWS asks for: list prices of us-east-1 in dollars, as the pages had them in
//! November 2026. No free tier, and no tier for much use.

/// So many dollars for so many of something.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    /// Of what.
    pub what: &'static str,
    dollars: f64,
    per: f64,
    /// Where it says so.
    pub source: &'static str,
}

const STEP_FUNCTIONS: &str = "https://aws.amazon.com/step-functions/pricing/";
const LAMBDA: &str = "https://aws.amazon.com/lambda/pricing/";
const DYNAMODB: &str = "https://aws.amazon.com/dynamodb/pricing/on-demand/";
const S3: &str = "https://aws.amazon.com/s3/pricing/";

const fn price(what: &'static str, dollars: f64, per: f64, source: &'static str) -> Price {
    Price {
        what,
        dollars,
        per,
        source,
    }
}

/// Standard workflows: states entered, and retries.
pub const TRANSITIONS: Price = price("transitions", 0.025, 1e3, STEP_FUNCTIONS);
/// Calls of functions.
pub const CALLS: Price = price("calls of functions", 0.20, 1e6, LAMBDA);
/// Their time, on arm64, by the memory that the template gives them.
pub const GB_SECONDS: Price = price("GB-seconds of functions", 0.000_013_333_4, 1.0, LAMBDA);
/// On demand.
pub const WRITE_UNITS: Price = price("write units", 0.625, 1e6, DYNAMODB);
/// On demand.
pub const READ_UNITS: Price = price("read units", 0.125, 1e6, DYNAMODB);
/// PUT, POST and LIST; DELETE costs nothing.
pub const PUTS: Price = price("PUTs, POSTs and LISTs", 0.005, 1e3, S3);
/// GET and HEAD.
pub const GETS: Price = price("GETs and HEADs", 0.0004, 1e3, S3);
/// An HTTP API.
pub const DELIVERIES: Price = price(
    "webhooks",
    1.0,
    1e6,
    "https://aws.amazon.com/api-gateway/pricing/",
);
/// Calls of Secrets Manager.
pub const SECRETS: Price = price(
    "reads of secrets",
    0.05,
    1e4,
    "https://aws.amazon.com/secrets-manager/pricing/",
);
/// An asymmetric key that is not of RSA with 2,048 bits.
pub const SIGNATURES: Price = price(
    "calls of the signing key",
    0.15,
    1e4,
    "https://aws.amazon.com/kms/pricing/",
);
/// What is written to CloudWatch Logs.
pub const LOG_BYTES: Price = price(
    "bytes of logs",
    0.50,
    1e9,
    "https://aws.amazon.com/cloudwatch/pricing/",
);
/// What goes to GitHub.
pub const SENT_BYTES: Price = price(
    "bytes of assets to GitHub",
    0.09,
    1e9,
    "https://aws.amazon.com/ec2/pricing/on-demand/",
);

impl Price {
    /// Of so many.
    pub fn of(&self, count: f64) -> f64 {
        count * self.dollars / self.per
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_transitions_are_two_and_a_half_cents() {
        assert_eq!(TRANSITIONS.of(1000.0), 0.025);
        assert_eq!(TRANSITIONS.of(0.0), 0.0);
    }
}
