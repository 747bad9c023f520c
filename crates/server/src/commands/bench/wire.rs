//! The load: HTTP/1.1 over kept connections, as light as it can be, because it shares its cores with what is measured.
//!
//! All connections live on one thread with a runtime of its own. Requests are bytes that are filled in, not built;
//! of an answer only the status and the length are read.

use super::setback::Setback;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longer than any answer takes, so that a bench of something broken ends.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Connection, Setback> {
        let failed = Setback::while_doing("no connection");
        let stream = TcpStream::connect(address).await.map_err(&failed)?;
        // Small requests must not wait for each other's acknowledgements.
        stream.set_nodelay(true).map_err(&failed)?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer, Setback> {
        let asked = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        asked.map_err(|_| Setback::Broken("no answer within a minute".to_owned()))?
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Setback> {
        let failed = Setback::while_doing("no answer");
        self.stream.write_all(request).await.map_err(&failed)?;
        self.buffer.clear();
        let (head, status, length) = loop {
            if self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .map_err(&failed)?
                == 0
            {
                return Err(Setback::Broken("the connection was closed".to_owned()));
            }
            if let Some(found) = head(&self.buffer)? {
                break found;
            }
        };
        while self.buffer.len() < head + length {
            if self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .map_err(&failed)?
                == 0
            {
                return Err(Setback::Broken("an answer broke off".to_owned()));
            }
        }
        Ok(Answer {
            status,
            body: self.buffer[head..head + length].to_vec(),
        })
    }
}

/// Length of the head, status, length of the body; `None` while the head is not whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, u16, usize)>, Setback> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let strange = || Setback::Broken("an answer that is not HTTP as expected".to_owned());
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| strange())?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut length = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| strange())?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(strange());
        }
    }
    Ok(Some((end + 4, status.ok_or_else(strange)?, length)))
}

/// A request as it goes over the wire. `extra` are whole lines of the head.
pub fn request(method: &str, path: &str, extra: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Makes the request number n.
pub type Maker = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    pub until: Until,
    pub expected: u16,
    pub maker: Maker,
}

#[derive(Clone, Copy, Debug)]
pub enum Until {
    Time(Duration),
    Count(u64),
}

/// What a load met.
#[derive(Debug)]
pub struct Met {
    pub per_second: f64,
    pub times: Vec<Duration>,
}

/// Each connection asks, waits for its answer, and asks again.
pub async fn drive(load: Load) -> Result<Met, Setback> {
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Setback::while_doing("no runtime for the load"))?;
        runtime.block_on(all(load))
    });
    thread
        .await
        .map_err(Setback::while_doing("the load broke"))?
}

async fn all(load: Load) -> Result<Met, Setback> {
    let next = Arc::new(AtomicU64::new(0));
    let mut open = Vec::new();
    for _ in 0..load.connections {
        open.push(Connection::open(load.address).await?);
    }
    let began = Instant::now();
    let mut work = JoinSet::new();
    for connection in open {
        work.spawn(one(connection, load.clone(), next.clone(), began));
    }
    let mut times = Vec::new();
    while let Some(ended) = work.join_next().await {
        times.extend(ended.map_err(Setback::while_doing("a client broke"))??);
    }
    Ok(Met {
        per_second: times.len() as f64 / began.elapsed().as_secs_f64(),
        times,
    })
}

async fn one(
    mut connection: Connection,
    load: Load,
    next: Arc<AtomicU64>,
    began: Instant,
) -> Result<Vec<Duration>, Setback> {
    let mut times = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let over = match load.until {
            Until::Time(time) => began.elapsed() >= time,
            Until::Count(count) => index >= count,
        };
        if over {
            return Ok(times);
        }
        let request = (load.maker)(index);
        let asked = Instant::now();
        let answer = connection.ask(&request).await?;
        times.push(asked.elapsed());
        if answer.status != load.expected {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let words = format!("a request was answered {}: {body}", answer.status);
            return Err(Setback::Broken(words));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nX: y\r\n\r\nhello";
        let read = head(whole).expect("good HTTP");
        assert_eq!(read, Some((whole.len() - 5, 201, 5)));
        assert_eq!(head(&whole[..30]).expect("good HTTP"), None);
        assert!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(head(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn requests_tell_the_length_of_their_body() {
        let bytes = request("POST", "/x", "Idempotency-Key: 1\r\n", "{}");
        let text = String::from_utf8(bytes).expect("text");
        assert!(
            text.starts_with("POST /x HTTP/1.1\r\n")
                && text.ends_with("\r\nIdempotency-Key: 1\r\n\r\n{}")
        );
        assert!(text.contains("Content-Length: 2\r\n"));
    }
}
