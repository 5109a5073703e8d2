//! The sockets and the clock: a listener whose connections can be cut, and a
//! task that advances the world and sends its webhooks.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::model::{Hook, World};
use crate::settings::{Error, WebhookFaultKind};
use crate::webhook;

/// What routes, the clock and the handle share.
#[derive(Debug)]
pub(crate) struct App {
    world: Mutex<World>,
    changed: Notify,
    client: reqwest::Client,
    deliveries: AtomicU64,
}

impl App {
    pub(crate) fn new(world: World, client: reqwest::Client) -> Self {
        let changed = Notify::new();
        Self {
            world: Mutex::new(world),
            changed,
            client,
            deliveries: AtomicU64::new(0),
        }
    }

    /// Looks at the world, or changes it, as it is at this instant.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        let due = world.due();
        world.advance(now);
        let seen = look(&mut world, now);
        if !world.outbox.is_empty() || world.due() != due {
            self.changed.notify_one();
        }
        seen
    }

    /// Sends one webhook, perhaps twice, and returns the receiver's status.
    pub(crate) async fn deliver(&self, hook: &Hook, twice: bool) -> Result<u16, Error> {
        let target = self
            .with(|world, _| world.webhook.clone())
            .ok_or(Error::NoWebhook)?;
        let serial = self.deliveries.fetch_add(1, Ordering::Relaxed);
        if twice {
            webhook::deliver(&self.client, &target, hook, serial).await?;
        }
        webhook::deliver(&self.client, &target, hook, serial).await
    }

    /// Sends one webhook as its fault has it, and keeps what the receiver said.
    async fn send(&self, hook: &Hook) {
        let fault = self.with(|world, _| world.take_webhook_fault(hook));
        if let Some(WebhookFaultKind::Late(seconds)) = fault {
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
        }
        let answer = match fault {
            Some(WebhookFaultKind::Lost) => Err(Error::WebhookLost),
            _ => {
                self.deliver(hook, fault == Some(WebhookFaultKind::Doubled))
                    .await
            }
        };
        let status = match answer {
            Ok(status) => {
                tracing::debug!(event = hook.event, status, "webhook sent");
                Some(status)
            }
            Err(Error::NoWebhook) => None,
            Err(error) => {
                tracing::warn!(event = hook.event, %error, "webhook lost");
                None
            }
        };
        self.with(|world, _| {
            if world.record {
                world.answers.push((hook.event.clone(), status));
            }
        });
    }

    /// Advances the world whenever something is due; runs until it is aborted.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let (outbox, due, now) = self.with(|world, now| {
                let outbox = std::mem::take(&mut world.outbox);
                if world.record {
                    world.deliveries.extend(outbox.iter().map(Hook::delivery));
                }
                (outbox, world.due(), now)
            });
            for hook in outbox {
                let app = Arc::clone(&self);
                // A receiver that is slow must not hold the others up.
                tokio::spawn(async move { app.send(&hook).await });
            }
            let wait = due.map_or(Duration::from_secs(3600), |due| {
                Duration::try_from(due.duration_since(now)).unwrap_or_default()
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

/// Accepts connections that can be cut, for `axum::serve`.
#[derive(Debug)]
pub struct Acceptor(pub TcpListener);

/// Cuts the connection that a request came over; axum's `ConnectInfo` has it.
#[derive(Debug, Clone, Default)]
pub struct Cutter(Arc<AtomicBool>);

impl Cutter {
    /// From now on the connection fails instead of carrying the answer.
    pub fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    cutter: Cutter,
}

impl Listener for Acceptor {
    type Io = Connection;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for the acknowledgement of others.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        (
            Connection {
                stream,
                cutter: Cutter::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Acceptor>> for Cutter {
    fn connect_info(stream: IncomingStream<'_, Acceptor>) -> Self {
        stream.io().cutter.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cutter.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cutter.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cutter.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
