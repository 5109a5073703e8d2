//! Webhooks.

use serde_json::{Value, json};

use super::Render;
use crate::model::Hook;
use crate::model::release::Release;
use crate::model::repo::Repo;
use crate::model::run::Run;

impl Render {
    pub(crate) fn run_hook(&self, repo: &Repo, run: &Run, action: &str) -> Hook {
        let workflow = repo
            .workflows
            .iter()
            .find(|workflow| workflow.id == run.workflow_id);
        let mut payload = self.payload(repo, &run.latest().actor);
        payload["action"] = action.into();
        payload["workflow_run"] = self.run(repo, run);
        payload["workflow"] = workflow
            .map(|workflow| self.workflow(repo, workflow))
            .into();
        Hook {
            event: "workflow_run".into(),
            payload,
        }
    }

    pub(crate) fn create_hook(&self, repo: &Repo, tag: &str, sender: &str) -> Hook {
        let mut payload = self.payload(repo, sender);
        payload["ref"] = tag.into();
        payload["ref_type"] = "tag".into();
        payload["master_branch"] = repo.default_branch.clone().into();
        payload["description"] = Value::Null;
        payload["pusher_type"] = "user".into();
        Hook {
            event: "create".into(),
            payload,
        }
    }

    pub(crate) fn release_hook(
        &self,
        repo: &Repo,
        release: &Release,
        action: &str,
        sender: &str,
    ) -> Hook {
        let mut payload = self.payload(repo, sender);
        payload["action"] = action.into();
        payload["release"] = self.hooked_release(repo, release);
        Hook {
            event: "release".into(),
            payload,
        }
    }

    fn payload(&self, repo: &Repo, sender: &str) -> Value {
        json!({
            "repository": self.hooked_repository(repo),
            "organization": self.organization(repo.owner()),
            "sender": self.user(sender),
        })
    }

    /// A release as the schemas of webhooks know it: older than the API's.
    fn hooked_release(&self, repo: &Repo, release: &Release) -> Value {
        let mut hooked = self.release(repo, release);
        without(&mut hooked, &["immutable", "updated_at"]);
        if let Some(assets) = hooked["assets"].as_array_mut() {
            assets
                .iter_mut()
                .for_each(|asset| without(asset, &["digest"]));
        }
        hooked
    }
}

fn without(value: &mut Value, fields: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
}
