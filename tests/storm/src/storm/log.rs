//! What the functions log, which nobody reads here but for secrets.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;

static LEAKS: AtomicU64 = AtomicU64::new(0);
static WATCHED: Once = Once::new();

/// Looks through what is written.
#[derive(Debug, Clone, Copy)]
struct Watch {
    /// Whether it is shown, too.
    shows: bool,
}

impl Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let canary = crate::CANARY.as_bytes();
        if bytes.windows(canary.len()).any(|part| part == canary) {
            LEAKS.fetch_add(1, Ordering::SeqCst);
        }
        if self.shows {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on every line is looked through; with `RUST_LOG` they are shown.
pub fn watch() {
    WATCHED.call_once(|| {
        let shows = std::env::var_os("RUST_LOG").is_some();
        let filter = EnvFilter::try_from_default_env();
        let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
        let subscriber = tracing_subscriber::fmt().json().with_env_filter(filter);
        // An error: somebody else has set one, and sees to it.
        let _ = subscriber.with_writer(move || Watch { shows }).try_init();
    });
}

/// How many lines held a secret.
pub fn leaks() -> u64 {
    LEAKS.load(Ordering::SeqCst)
}
