//! The sockets and the time: a listener whose connections can be cut, and a world
//! that advances when something is due, and sends its webhooks.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::{Clock, Work};
use crate::model::{Hook, World};
use crate::settings::{Error, Weather, WebhookFaultKind};
use crate::webhook;

/// What routes, the clock and the handle share.
#[derive(Debug)]
pub(crate) struct App {
    /// Itself, for what happens later.
    this: Weak<App>,
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    client: reqwest::Client,
    deliveries: AtomicU64,
}

#[derive(Debug)]
struct State {
    world: World,
    /// When the clock will advance the world.
    alarm: Option<Timestamp>,
}

impl App {
    pub(crate) fn new(world: World, clock: Arc<dyn Clock>, client: reqwest::Client) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            state: Mutex::new(State { world, alarm: None }),
            clock,
            client,
            deliveries: AtomicU64::new(0),
        })
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does something when the clock shows this instant.
    pub(crate) fn at(&self, instant: Timestamp, work: Work) {
        self.clock.at(instant, work);
    }

    /// What decides what goes wrong, if anything does beside the faults.
    pub(crate) fn weather(&self) -> Option<Arc<dyn Weather>> {
        self.with(|world, _| world.weather.clone())
    }

    /// Looks at the world, or changes it, as it is at this instant. What follows from
    /// that, now or later, is given to the clock before this returns.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let State { world, alarm } = &mut *state;
        world.advance(now);
        let seen = look(world, now);
        let outbox = std::mem::take(&mut world.outbox);
        if world.record {
            world.deliveries.extend(outbox.iter().map(Hook::delivery));
        }
        let due = world.due();
        let due = due.filter(|due| alarm.is_none_or(|alarm| *due < alarm));
        *alarm = due.or(*alarm);
        drop(state);
        for hook in outbox {
            self.send(hook, now);
        }
        if let Some(due) = due {
            self.wake_at(due);
        }
        seen
    }

    /// Advances the world at an instant.
    fn wake_at(&self, due: Timestamp) {
        let app = Weak::clone(&self.this);
        let wake = async move {
            let Some(app) = app.upgrade() else { return };
            {
                let mut state = app.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.alarm != Some(due) {
                    // An earlier alarm was set since, and rang.
                    return;
                }
                state.alarm = None;
            }
            app.with(|_, _| ());
        };
        self.clock.at(due, Box::pin(wake));
    }

    /// Sends one webhook as its fault has it, and keeps what the receiver said; in the
    /// background: a receiver that is slow must not hold the others up.
    fn send(&self, hook: Hook, now: Timestamp) {
        let Some(app) = self.this.upgrade() else {
            return;
        };
        let weather = self.weather();
        let fault = weather.and_then(|weather| weather.webhook(&hook.event, &hook.payload));
        let fault = fault.or_else(|| self.with(|world, _| world.take_webhook_fault(&hook)));
        let late = match fault {
            Some(WebhookFaultKind::Late(seconds)) => Duration::try_from_secs_f64(seconds),
            _ => Ok(Duration::ZERO),
        };
        let delivery = async move {
            let answer = match fault {
                Some(WebhookFaultKind::Lost) => Err(Error::WebhookLost),
                _ => {
                    let twice = fault == Some(WebhookFaultKind::Doubled);
                    app.deliver(&hook, twice).await
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
            app.with(|world, _| {
                if world.record {
                    world.answers.push((hook.event.clone(), status));
                }
            });
        };
        let at = now + late.unwrap_or_default();
        self.clock.at(at, Box::pin(delivery));
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
