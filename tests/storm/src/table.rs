//! The table: DynamoDB in memory, on a thread of its own, over HTTP on loopback.

use std::future::Future;
use std::net::TcpListener;
use std::thread;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use serde_json::json;
use tokio::runtime;
use tokio::sync::oneshot;

/// The table's name.
pub(crate) const TABLE: &str = "build_runs";

/// A running DynamoDB that has the table; dropping it stops it.
pub(crate) struct Table {
    /// Its address.
    pub(crate) url: String,
    _running: oneshot::Sender<()>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTable {
    /// No socket or no thread.
    #[error("DynamoDB: {0}")]
    Io(#[from] std::io::Error),
    /// DynamoDB's own answer.
    #[error("DynamoDB: {0}")]
    Refused(#[from] dynoxide::DynoxideError),
    /// The request.
    #[error("CreateTable: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Table {
    /// Makes the table, with the keys that the template gives it.
    pub(crate) fn start() -> Result<Self, NoTable> {
        let database = Database::memory()?;
        let request: CreateTableRequest = serde_json::from_value(json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        }))?;
        database.create_table(request)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let (running, stopped) = oneshot::channel::<()>();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Beside the stages' thread: the two work at the same time.
        thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, database, async {
                    // An error means that the driver is gone.
                    let _ = stopped.await;
                }));
            })?;
        Ok(Self {
            url,
            _running: running,
        })
    }
}

async fn serve(
    listener: TcpListener,
    database: Database,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => dynoxide::server::serve_with_shutdown(listener, database, stop).await,
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = served {
        tracing::error!(error, "the table is served no more");
    }
}
