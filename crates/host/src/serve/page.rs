//! The page with counters: HTTP/1.1, one request for each connection, read with httparse.
//!
//! It runs beside the node: whoever reads it, or reads it slowly, does not hold up a message.

use crate::{Handle, Machine};
use cpm_base::Metrics;
use std::fmt::Write;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Octets of a request's head.
const MAX_HEAD: usize = 4_096;
/// Header fields of a request.
const MAX_FIELDS: usize = 32;
/// Requests at once; more wait at the door.
const MAX_READERS: usize = 16;
/// How long a reader may take, for its request and again for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the node may take to say its counters.
const NODE_PATIENCE: Duration = Duration::from_secs(1);

/// What is known beside the node's counters.
#[derive(Clone)]
pub(super) struct Extra {
    /// Names and what they stand at.
    pub(super) lines: Arc<dyn Fn() -> Vec<(String, u64)> + Send + Sync>,
    /// What is wrong with the server though the node answers, where something is.
    pub(super) fault: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
}
type Asked<'a> = Pin<Box<dyn Future<Output = Option<Metrics>> + Send + 'a>>;

/// Who knows the counters.
pub(super) trait Counted: Send + Sync + 'static {
    /// `None`: the node runs no more.
    fn metrics(&self) -> Asked<'_>;
}

impl<M: Machine> Counted for Handle<M> {
    fn metrics(&self) -> Asked<'_> {
        Box::pin(async { Handle::metrics(self).await.ok() })
    }
}

/// Answers until it is ended.
pub(super) async fn serve(listener: TcpListener, node: Arc<dyn Counted>, extra: Extra) {
    let readers = Arc::new(Semaphore::new(MAX_READERS));
    loop {
        let Ok(reader) = Arc::clone(&readers).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (node, extra) = (Arc::clone(&node), extra.clone());
                tokio::spawn(async move {
                    // A reader that has gone needs no answer.
                    let _ = answer(stream, &*node, &extra).await;
                    drop(reader);
                });
            }
            // Out of descriptors, or the peer was gone at once.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Page {
        path: String,
        head_only: bool,
    },
    /// 405.
    Method,
    /// 400.
    Malformed,
    /// 431.
    TooLarge,
}

/// Reads the head of a request; `None` when more of it is to come.
fn read(octets: &[u8]) -> Option<Request> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(octets) {
        Ok(httparse::Status::Complete(_)) => {
            let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
            let path = path.split('?').next().unwrap_or(path).to_owned();
            Some(match method {
                "GET" => Request::Page { path, head_only: false },
                "HEAD" => Request::Page { path, head_only: true },
                _ => Request::Method,
            })
        }
        Ok(httparse::Status::Partial) if octets.len() >= MAX_HEAD => Some(Request::TooLarge),
        Ok(httparse::Status::Partial) => None,
        Err(httparse::Error::TooManyHeaders) => Some(Request::TooLarge),
        Err(_) => Some(Request::Malformed),
    }
}

async fn request(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut octets = Vec::with_capacity(MAX_HEAD);
    loop {
        let room = MAX_HEAD.saturating_sub(octets.len());
        let count = (&mut *stream).take(u64::try_from(room).unwrap_or(0)).read_buf(&mut octets).await?;
        if let Some(request) = read(&octets) {
            return Ok(Some(request));
        }
        if count == 0 {
            return Ok(None);
        }
    }
}

async fn answer(mut stream: TcpStream, node: &dyn Counted, extra: &Extra) -> io::Result<()> {
    // Who says nothing, or not all of it, gets nothing.
    let Some(request) = timeout(PATIENCE, request(&mut stream)).await.unwrap_or(Ok(None))? else {
        return Ok(());
    };
    let (status, text, head_only) = match request {
        Request::Page { path, head_only } => {
            let (status, text) = page(&path, node, extra).await;
            (status, text, head_only)
        }
        Request::Method => ("405 Method Not Allowed", "GET and HEAD alone\n".to_owned(), false),
        Request::Malformed => ("400 Bad Request", "no HTTP\n".to_owned(), false),
        Request::TooLarge => ("431 Request Header Fields Too Large", "too much\n".to_owned(), false),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        text.len()
    );
    if !head_only {
        response.push_str(&text);
    }
    timeout(PATIENCE, async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        // What the reader still sends is taken off, so that the answer is not lost to a reset.
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    })
    .await
    .unwrap_or(Ok(()))
}

async fn page(path: &str, node: &dyn Counted, extra: &Extra) -> (&'static str, String) {
    let metrics = || async { timeout(NODE_PATIENCE, node.metrics()).await.ok().flatten() };
    match path {
        "/metrics" => match metrics().await {
            Some(metrics) => ("200 OK", text(&metrics, &(extra.lines)())),
            None => ("503 Service Unavailable", "the node does not answer\n".to_owned()),
        },
        "/healthz" => match metrics().await {
            Some(_) => match (extra.fault)() {
                None => ("200 OK", "ok\n".to_owned()),
                Some(fault) => ("503 Service Unavailable", format!("{fault}\n")),
            },
            None => ("503 Service Unavailable", "the node does not answer\n".to_owned()),
        },
        _ => ("404 Not Found", "there are /metrics and /healthz\n".to_owned()),
    }
}

/// The counters in the Prometheus text format; what does not end in `_total` is what something stands at now.
fn text(metrics: &Metrics, extra: &[(String, u64)]) -> String {
    let counters = metrics.iter().map(|(name, count)| (format!("{}_total", plain(name)), count));
    let extra = extra.iter().map(|(name, count)| (plain(name), *count));
    let mut out = String::new();
    for (name, count) in counters.chain(extra) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let _ = writeln!(out, "# TYPE cpm_{name} {kind}\ncpm_{name} {count}");
    }
    out
}

/// A name as Prometheus takes it.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
