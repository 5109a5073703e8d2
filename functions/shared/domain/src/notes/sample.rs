//! Facts to try a template with: one release that has everything, and one that has as
//! little as there can be.

use super::facts::{
    Change, Changes, Compared, Component, Facts, File, Group, Release, Section, Verification,
};

/// A release of one component that has everything that can be told of one.
pub fn sample() -> Facts {
    let web = "https://github.com/octo-org/core";
    let commit = "6a0ea30e6f9f4e1a54a3ce5df1c4a1d6e1a0b2c3";
    let file = File {
        name: "core-experimental-linux-x86_64.tar.gz".into(),
        url: format!("{web}/releases/download/v1.2.3/core-experimental-linux-x86_64.tar.gz"),
        size: 1_234_567,
        human_size: "1.2 MB".into(),
        sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
        component: Some("core".into()),
        platform: Some("Linux x86_64".into()),
        variant: Some("experimental".into()),
    };
    Facts {
        version: "v1.2.3".into(),
        prerelease: true,
        repository: "octo-org/core".into(),
        repository_url: web.into(),
        components: vec![Component {
            name: "core".into(),
            version: "1.2.3".into(),
            repository: "octo-org/core".into(),
            repository_url: web.into(),
            commit: commit.into(),
            short_commit: "6a0ea30".into(),
            commit_url: format!("{web}/commit/{commit}"),
            run_id: Some(18_000_000_015),
            attempt: Some(2),
            run_url: Some(format!("{web}/actions/runs/18000000015/attempts/2")),
            duration: Some("1 min 05 s".into()),
            seconds: Some(65),
            matched: Some("its nonce".into()),
        }],
        components_left_out: 0,
        sections: vec![Section {
            title: "Linux x86_64, experimental".into(),
            platform: file.platform.clone(),
            variant: file.variant.clone(),
            artifacts: vec![file.clone()],
        }],
        artifacts: vec![file],
        artifacts_left_out: 0,
        changes: changes(web, commit),
        verification: Verification {
            public_key: Some("-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----".into()),
            commands: vec![
                "sha256sum -c SHA256SUMS".into(),
                "openssl dgst -sha256 -verify release-key.pem -signature SHA256SUMS.sig SHA256SUMS"
                    .into(),
            ],
        },
    }
}

fn changes(web: &str, commit: &str) -> Changes {
    Changes {
        since: Some(Release {
            version: "v1.2.2".into(),
            url: format!("{web}/releases/tag/v1.2.2"),
        }),
        groups: vec![Group {
            kind: "feature".into(),
            title: "Features".into(),
            changes: vec![Change {
                component: "core".into(),
                scope: Some("net".into()),
                subject: "peers are found faster".into(),
                commit: commit.into(),
                short_commit: "6a0ea30".into(),
                commit_url: format!("{web}/commit/{commit}"),
                pull: Some(12),
                pull_url: Some(format!("{web}/pull/12")),
            }],
            left_out: 0,
        }],
        compared: vec![Compared {
            component: "core".into(),
            from: "0b1c2d3".into(),
            to: "6a0ea30".into(),
            url: format!("{web}/compare/0b1c2d3...6a0ea30"),
            commits: Some(1),
            unread: 0,
        }],
        compared_left_out: 0,
        remarks: vec!["New since v1.2.2: core.".into()],
        remarks_left_out: 0,
    }
}

/// The first release, which has no files, and is not signed.
pub fn bare() -> Facts {
    let Facts {
        components,
        verification,
        ..
    } = sample();
    let component = |component: Component| Component {
        run_id: None,
        attempt: None,
        run_url: None,
        duration: None,
        seconds: None,
        matched: None,
        ..component
    };
    Facts {
        components: components.into_iter().map(component).collect(),
        sections: Vec::new(),
        artifacts: Vec::new(),
        changes: Changes {
            remarks: vec!["No earlier release is published to compare with.".into()],
            ..Changes::default()
        },
        verification: Verification {
            public_key: None,
            ..verification
        },
        ..sample()
    }
}
