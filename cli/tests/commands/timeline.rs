//! `commons timeline`, where there is nothing to tell.

use std::process::Output;

use crate::{commons, stderr};

/// With nothing of this machine's settings for AWS but these.
fn timeline(settings: &[(&str, &str)]) -> Output {
    let mut command = commons(&["timeline", "v0.1.0", "--repository", "o/r", "--table", "t"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn what_is_missing_has_a_sentence_with_its_fix() {
    let region = ("AWS_REGION", "us-east-1");
    let key = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    for (settings, why) in [
        (vec![], "there is no AWS region: set AWS_REGION"),
        (
            vec![region],
            "there are no AWS credentials: run `aws configure`",
        ),
        (
            [&[region, nowhere], &key[..]].concat(),
            "Connection refused",
        ),
    ] {
        let output = timeline(&settings);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let text = stderr(&output);
        let last = text.lines().last().unwrap();
        assert!(last.contains(why), "{text}");
    }
}

#[test]
fn bad_input_has_a_sentence_each() {
    let arguments = ["timeline", "one", "--repository", "two", "--table", "t"];
    let output = commons(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("'one'") && text.contains("'two'"), "{text}");
}
