//! Stages that may do what the template's roles allow, and no more: the policies of
//! the deployed roles, held by a user of a world's account, whole or without one of
//! their permissions.
//!
//! The stage runs in the test's process and not as a function: what it may do is
//! decided by the local cloud all the same, by the keys that sign its requests, and
//! a refusal is known at once instead of after the state machine's retries.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::config::Credentials;
use commons_runtime::{Config, Stage, StageError, SystemClock};
use local_cloud::{Account, Service};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::stage::{self, Cloud, DEPLOYED, StageWorld, bucket_of};
use crate::{MANIFEST, WEBHOOK_SECRET, fixture};

/// One action on one resource that a role allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// As `dynamodb:GetItem`.
    pub action: String,
    /// An ARN, with stars where the template has them.
    pub resource: String,
}

/// What the functions' roles allow, and a cloud that holds everybody to it.
pub struct Rights {
    cloud: Cloud,
    roles: BTreeMap<String, Vec<Permission>>,
}

/// A function's own view of AWS.
pub struct Holder {
    /// Its clients.
    pub stage: Stage,
    aws: aws_config::SdkConfig,
    /// The world's secrets by the logical names that the template gives them.
    secrets: BTreeMap<String, String>,
}

impl Rights {
    /// Starts the cloud, deploys the template, and reads its functions' roles.
    pub async fn start() -> Rights {
        let cloud = Cloud::start(true).await;
        let account = cloud.account(DEPLOYED);
        let roles = iam(&account, "ListRoles", &[]).await;
        let mut found = BTreeMap::new();
        for role in texts(&roles, "RoleName") {
            // commons-PlanFunctionRole-0123456789ABC
            let Some(function) = role.split('-').find_map(|p| p.strip_suffix("FunctionRole"))
            else {
                continue;
            };
            let policies = iam(&account, "ListRolePolicies", &[("RoleName", role)]).await;
            let mut permissions = Vec::new();
            for policy in texts(&policies, "member") {
                let which = [("RoleName", role), ("PolicyName", policy)];
                let answer = iam(&account, "GetRolePolicy", &which).await;
                permissions.extend(permissions_of(texts(&answer, "PolicyDocument")[0]));
            }
            found.insert(function.to_lowercase(), permissions);
        }
        Rights {
            cloud,
            roles: found,
        }
    }

    /// By function: what its role allows.
    pub fn roles(&self) -> &BTreeMap<String, Vec<Permission>> {
        &self.roles
    }

    /// A world with this manifest whose stage may do everything: it sets the scene.
    pub async fn world(&self, manifest: Option<&str>) -> StageWorld {
        let manifest = manifest.unwrap_or(MANIFEST);
        let mut world =
            StageWorld::within(&self.cloud, Arc::new(SystemClock), fixture(manifest)).await;
        world = world.signed().await;
        let machine = &mut world.stage.config.state_machine_arn;
        *machine = machine.replace(DEPLOYED, world.account.id());
        // The role of a machine that only waits.
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }]});
        let trust = ("AssumeRolePolicyDocument", &*trust.to_string());
        iam(&world.account, "CreateRole", &[("RoleName", "none"), trust]).await;
        world
    }

    /// The same world as a function sees it: with its role's permissions but one.
    pub async fn hold(
        &self,
        world: &StageWorld,
        function: &str,
        without: Option<&Permission>,
    ) -> Holder {
        let account = &world.account;
        let (secrets, mut renamed) = self.secrets(account).await;
        let bucket = bucket_of(account.id());
        renamed.push((self.cloud.stack.bucket.clone(), bucket));
        let own_key = world.stage.config.signing_key.clone();
        let mut permissions = self.roles.values().flatten();
        let deployed_key = permissions.find(|permission| permission.action == "kms:Sign");
        renamed.extend(deployed_key.map(|p| p.resource.clone()).zip(own_key));
        renamed.push((DEPLOYED.to_owned(), account.id().to_owned()));
        let statements: Vec<Value> = self.roles[function]
            .iter()
            .filter(|permission| Some(*permission) != without)
            .map(|permission| {
                let resource = renamed
                    .iter()
                    .fold(permission.resource.clone(), |arn, (from, to)| {
                        arn.replace(from, to)
                    });
                json!({"Effect": "Allow", "Action": permission.action, "Resource": resource})
            })
            .collect();
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let name = ("UserName", function);
        iam(account, "CreateUser", &[name]).await;
        let policy = [name, ("PolicyName", "own"), ("PolicyDocument", &policy)];
        iam(account, "PutUserPolicy", &policy).await;
        let key = iam(account, "CreateAccessKey", &[name]).await;
        let (id, secret) = (texts(&key, "AccessKeyId"), texts(&key, "SecretAccessKey"));
        let credentials = Credentials::new(id[0], secret[0], None, None, "the test");
        let aws = stage::configuration(self.cloud.endpoint(), credentials);
        let config: Config = world.stage.config.clone();
        Holder {
            stage: stage::stage(&aws, config, Arc::new(SystemClock)),
            aws,
            secrets,
        }
    }

    /// Makes the secrets that the roles name: their ARNs by logical name, and each
    /// with the ARN of the deployed one that it stands for.
    async fn secrets(
        &self,
        account: &Account,
    ) -> (BTreeMap<String, String>, Vec<(String, String)>) {
        let mut named = BTreeMap::new();
        let mut renamed = Vec::new();
        let permissions = self.roles.values().flatten();
        for permission in permissions.filter(|p| p.action.starts_with("secretsmanager:")) {
            let deployed = &permission.resource;
            // …:secret:commons-GitHubTokenSecret-0123456789ABC-abcdef
            let logical = deployed
                .rsplit(':')
                .next()
                .and_then(|name| name.split('-').nth(1));
            let logical = logical.expect("the name of a secret").to_owned();
            if named.contains_key(&logical) {
                continue;
            }
            let body = json!({"Name": logical, "SecretString": WEBHOOK_SECRET});
            let created = account.call(Service::Secrets, "CreateSecret", body).await;
            let arn = created.expect("a secret")["ARN"].clone();
            let arn = arn.as_str().expect("its ARN").to_owned();
            renamed.push((deployed.clone(), arn.clone()));
            named.insert(logical, arn);
        }
        (named, renamed)
    }
}

impl Holder {
    /// AWS as the holder sees it, and the id of a secret by its logical name.
    pub fn secret_id(&self, logical: &str) -> (aws_config::SdkConfig, String) {
        (self.aws.clone(), self.secrets[logical].clone())
    }

    /// Reads a secret by its logical name, as a function does when it starts.
    pub async fn secret(&self, logical: &str) -> Result<SecretString, StageError> {
        commons_runtime::secret(&self.aws, &self.secrets[logical]).await
    }
}

/// The actions of a policy's document, each with each of its resources.
fn permissions_of(document: &str) -> Vec<Permission> {
    let text = percent_decode_str(document).decode_utf8().expect("UTF-8");
    let document: Value = serde_json::from_str(&text).expect("a policy");
    let mut permissions = Vec::new();
    for statement in list(&document["Statement"]) {
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        for action in list(&statement["Action"]) {
            for resource in list(&statement["Resource"]) {
                permissions.push(Permission {
                    action: action.as_str().expect("an action").to_owned(),
                    resource: resource.as_str().expect("a resource").to_owned(),
                });
            }
        }
    }
    permissions
}

/// IAM's lists of one may be the one itself.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    }
}

async fn iam(account: &Account, action: &str, parameters: &[(&str, &str)]) -> String {
    let answer = account.iam(action, parameters).await;
    answer.expect("an answer of IAM")
}

/// What stands in the elements of this name.
fn texts<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = |rest: &'a str| rest.split(&close).next().unwrap_or_default();
    xml.split(&open).skip(1).map(inner).collect()
}
