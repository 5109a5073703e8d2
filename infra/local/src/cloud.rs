//! The cloud's process.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Account, Error, Toolchain};

/// How long it may take to answer.
const STARTUP: Duration = Duration::from_secs(60);

/// How to start it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its output goes.
    pub log: PathBuf,
    /// Enforce the roles of the template.
    pub auth: bool,
}

/// A running local cloud. It ends when it is dropped, and with this process.
#[derive(Debug)]
pub struct LocalCloud {
    endpoint: String,
    // Dropped in this order: the process ends before its home goes.
    server: Server,
    _home: Home,
}

impl LocalCloud {
    /// Starts it on a free loopback port, with an environment of its own: nothing
    /// of the user's AWS settings, tokens or proxies reaches it or its functions.
    pub async fn start(toolchain: &Toolchain, options: Options) -> Result<Self, Error> {
        let http = http_client()?;
        let home = Home::new(&toolchain.target.join("local-cloud"))?;
        let mut last = String::new();
        // A port that is free now may be taken in the next moment: try again.
        for _ in 0..3 {
            let port = free_port()?;
            let endpoint = format!("http://127.0.0.1:{port}");
            let mut server = spawn(toolchain, &options, home.path(), port, &endpoint)?;
            let began = Instant::now();
            while began.elapsed() < STARTUP {
                let health = http
                    .get(format!("{endpoint}/_ministack/health"))
                    .send()
                    .await;
                if health.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(Self {
                        endpoint,
                        server,
                        _home: home,
                    });
                }
                if let Ok(Some(status)) = server.child.try_wait() {
                    last = format!("it ended with {status}");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Err(Error(format!(
            "the local cloud does not start ({last}); see {}",
            options.log.display()
        )))
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An account of its own, by its 12 digits. Webhooks carry no credentials, so they
    /// reach the account 000000000000 only.
    pub fn account(&self, id: &str) -> Result<Account, Error> {
        Account::new(&self.endpoint, id)
    }

    /// Stops it, and waits until it is gone.
    pub fn stop(self) {
        drop(self.server);
    }
}

fn spawn(
    toolchain: &Toolchain,
    options: &Options,
    home: &Path,
    port: u16,
    endpoint: &str,
) -> Result<Server, Error> {
    let log =
        File::create(&options.log).map_err(|error| Error::of("the local cloud's log", error))?;
    let errors = log
        .try_clone()
        .map_err(|error| Error::of("the local cloud's log", error))?;
    let mut command = Command::new(&toolchain.python);
    command
        .arg(toolchain.root.join("infra/local/serve.py"))
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // It would listen beyond loopback for these.
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", crate::ACCOUNT)
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors);
    if options.auth {
        command.env("AUTH", "true");
    }
    let mut child = command
        .spawn()
        .map_err(|error| Error::of("the local cloud", error))?;
    let lifeline = child.stdin.take();
    Ok(Server { child, lifeline })
}

/// The process. It kills its group, functions and all, when the pipe to it closes:
/// on drop, or because this process is gone, however that happened.
#[derive(Debug)]
struct Server {
    child: Child,
    lifeline: Option<ChildStdin>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lifeline.take();
        let _gone = self.child.wait();
    }
}

/// The folder that the cloud and its functions write to; gone when it is dropped.
#[derive(Debug)]
struct Home {
    folder: TempDir,
    _in_use: File,
}

impl Home {
    const PREFIX: &str = "run-";

    /// A new one. Those that killed processes left are removed: nobody holds their lock.
    fn new(parent: &Path) -> Result<Self, Error> {
        let failed = |error| Error::of("the local cloud's home", error);
        let one_at_a_time = File::create(parent.join("homes.lock")).map_err(failed)?;
        one_at_a_time.lock().map_err(failed)?;
        for entry in std::fs::read_dir(parent).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let left = |lock: File| lock.try_lock().is_ok();
            if name.starts_with(Self::PREFIX) && File::open(lock_of(&path)).is_ok_and(left) {
                std::fs::remove_dir_all(&path).map_err(failed)?;
            }
        }
        let folder = tempfile::Builder::new()
            .prefix(Self::PREFIX)
            .tempdir_in(parent)
            .map_err(failed)?;
        let in_use = File::create(lock_of(folder.path())).map_err(failed)?;
        in_use.lock().map_err(failed)?;
        Ok(Self {
            folder,
            _in_use: in_use,
        })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn lock_of(home: &Path) -> PathBuf {
    home.join("in-use.lock")
}

fn free_port() -> Result<u16, Error> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))
        .map_err(|error| Error::of("a free port", error))?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| Error::of("a free port", error))
}

/// A client for what runs on this machine: no proxy.
pub fn http_client() -> Result<reqwest::Client, Error> {
    // Where the functions are built in the same workspace, reqwest speaks TLS and
    // wants a provider, even for plain HTTP. A second call finds it installed.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| Error::of("an HTTP client", error))
}
