//! Commands that are ended together with what they started.

use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A command in a process group of its own. Dropped before it has ended, the whole
/// group is: cargo's compilers, pip's builds.
pub(crate) struct Group {
    child: Option<Child>,
    leader: Option<Pid>,
}

impl Group {
    /// Starts it, its output piped.
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self {
            child: Some(child),
            leader,
        })
    }

    /// Its standard output, once.
    pub(crate) fn stdout(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.as_mut().and_then(|child| child.stdout.take())
    }

    /// Waits for its end.
    pub(crate) async fn output(mut self) -> std::io::Result<Output> {
        let child = self
            .child
            .take()
            .ok_or_else(|| std::io::Error::other("it was waited for before"))?;
        let output = child.wait_with_output().await;
        self.leader = None;
        output
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It may have ended by itself in this moment: then there is none to end.
            let _ended_before = kill_process_group(leader, Signal::TERM);
        }
    }
}
