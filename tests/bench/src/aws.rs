//! AWS as the sink plays it.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use commons_artifacts::Store;

/// The bucket that everything goes to.
pub const BUCKET: &str = "artifacts";

/// A client for S3 at this address.
pub fn client(address: &str) -> Client {
    let owner = Credentials::new(local_cloud::ACCOUNT, "local", None, None, "the benchmark");
    let aws = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(address)
        .credentials_provider(SharedCredentialsProvider::new(owner))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    // The local cloud has a large object ready only after seconds.
    let patient = StalledStreamProtectionConfig::disabled();
    let settings = Builder::from(&aws).stalled_stream_protection(patient);
    Client::from_conf(settings.force_path_style(true).build())
}

/// The bucket at this address.
pub fn store(address: &str) -> Store {
    Store::new(client(address), BUCKET)
}
