//! A letter box: a small SMTP server on loopback that keeps what it is given and refuses on demand.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the box says to a recipient's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 250
    Takes,
    /// 451: come again later.
    Later,
    /// 550: nobody of that name.
    Unknown,
}

/// One message as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body, dots unstuffed, lines ended by CR LF.
    pub data: String,
}

impl Letter {
    /// The first header of that name, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut found: Option<String> = None;
        for line in self.data.split("\r\n") {
            if line.is_empty() {
                break;
            }
            if let Some(value) = found.as_mut() {
                if !line.starts_with([' ', '\t']) {
                    break;
                }
                value.push(' ');
                value.push_str(line.trim());
            } else if let Some((key, value)) = line.split_once(':')
                && key.eq_ignore_ascii_case(name)
            {
                found = Some(value.trim().to_owned());
            }
        }
        found
    }
}

/// A running letter box. Dropping it closes the box.
pub struct Mailbox {
    addr: SocketAddr,
    shelf: Arc<Shelf>,
    _open: DropGuard,
}

struct Shelf {
    letters: Mutex<Vec<Letter>>,
    count: watch::Sender<usize>,
    /// Replies by recipient, used up front to back; the last one stays.
    replies: Mutex<HashMap<String, Vec<Reply>>>,
}

impl Mailbox {
    pub async fn open() -> io::Result<Mailbox> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let shelf = Arc::new(Shelf {
            letters: Mutex::default(),
            count: watch::Sender::new(0),
            replies: Mutex::default(),
        });
        let open = CancellationToken::new();
        tokio::spawn(serve(listener, shelf.clone(), open.clone()));
        Ok(Mailbox {
            addr,
            shelf,
            _open: open.drop_guard(),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Scripts what a recipient's address answers, one reply per message; the last one stays.
    pub fn script(&self, recipient: &str, replies: &[Reply]) {
        lock(&self.shelf.replies).insert(recipient.to_ascii_lowercase(), replies.to_vec());
    }

    pub fn letters(&self) -> Vec<Letter> {
        lock(&self.shelf.letters).clone()
    }

    /// Waits until at least `count` letters lie here; false when `limit` passed first.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let mut seen = self.shelf.count.subscribe();
        tokio::time::timeout(limit, seen.wait_for(|have| *have >= count))
            .await
            .is_ok_and(|got| got.is_ok())
    }
}

const MAX_LETTERS: usize = 10_000;
const MAX_LETTER: usize = 32 * 1024 * 1024;
const MAX_LINE: u64 = 4096;
const MAX_CONNECTIONS: usize = 64;
const IDLE: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shelf: Arc<Shelf>, open: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = tokio::select! {
            () = open.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let shelf = shelf.clone();
        let open = open.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = open.cancelled() => {}
                // A client that goes away in mid-sentence is its own business.
                _ = converse(stream, &shelf) => {}
            }
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, shelf: &Shelf) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut from: Option<String> = None;
    let mut to: Vec<String> = Vec::new();
    write
        .write_all(b"220 mailbox.demo.invalid ESMTP\r\n")
        .await?;
    while let Some(line) = read_line(&mut read).await? {
        let verb = line
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-mailbox.demo.invalid\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n".to_owned(),
            "HELO" => "250 mailbox.demo.invalid\r\n".to_owned(),
            "NOOP" => "250 yes\r\n".to_owned(),
            "RSET" => {
                from = None;
                to.clear();
                "250 forgotten\r\n".to_owned()
            }
            "MAIL" => {
                from = address(&line);
                to.clear();
                if from.is_some() {
                    "250 go on\r\n"
                } else {
                    "501 from whom?\r\n"
                }
                .to_owned()
            }
            "RCPT" if from.is_none() => "503 MAIL first\r\n".to_owned(),
            "RCPT" => match address(&line) {
                Some(recipient) if to.len() < 100 => match shelf.reply(&recipient) {
                    Reply::Takes => {
                        to.push(recipient);
                        "250 lives here\r\n".to_owned()
                    }
                    Reply::Later => "451 4.3.0 come again later\r\n".to_owned(),
                    Reply::Unknown => "550 5.1.1 nobody of that name\r\n".to_owned(),
                },
                _ => "501 to whom?\r\n".to_owned(),
            },
            "DATA" if to.is_empty() => "503 RCPT first\r\n".to_owned(),
            "DATA" => {
                write
                    .write_all(b"354 go ahead, end with a lone dot\r\n")
                    .await?;
                let Some(data) = read_data(&mut read).await? else {
                    return Ok(());
                };
                let letter = Letter {
                    from: from.take().unwrap_or_default(),
                    to: std::mem::take(&mut to),
                    data,
                };
                if shelf.keep(letter) {
                    "250 kept\r\n"
                } else {
                    "452 the shelf is full\r\n"
                }
                .to_owned()
            }
            "QUIT" => {
                return write.write_all(b"221 good bye\r\n").await;
            }
            _ => "502 not here\r\n".to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

impl Shelf {
    fn reply(&self, recipient: &str) -> Reply {
        match lock(&self.replies).get_mut(&recipient.to_ascii_lowercase()) {
            Some(script) if script.len() > 1 => script.remove(0),
            Some(script) => script.first().copied().unwrap_or(Reply::Takes),
            None => Reply::Takes,
        }
    }

    fn keep(&self, letter: Letter) -> bool {
        let mut letters = lock(&self.letters);
        if letters.len() >= MAX_LETTERS {
            return false;
        }
        letters.push(letter);
        self.count.send_replace(letters.len());
        true
    }
}

/// What stands between the angle brackets.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    Some(address.to_owned())
}

async fn read_line(
    read: &mut (impl AsyncRead + AsyncBufReadExt + Unpin),
) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut limited = read.take(MAX_LINE);
    let length = tokio::time::timeout(IDLE, limited.read_until(b'\n', &mut line)).await??;
    if length == 0 || !line.ends_with(b"\n") {
        return Ok(None);
    }
    Ok(Some(
        String::from_utf8_lossy(&line)
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
    ))
}

/// Everything up to the lone dot; `None` when the client went away or would not stop.
async fn read_data(
    read: &mut (impl AsyncRead + AsyncBufReadExt + Unpin),
) -> io::Result<Option<String>> {
    let mut data = String::new();
    while let Some(line) = read_line(read).await? {
        if line == "." {
            return Ok(Some(data));
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
        if data.len() > MAX_LETTER {
            return Ok(None);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn say(stream: &mut BufReader<TcpStream>, line: &str) -> String {
        stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .await
            .expect("written");
        hear(stream).await
    }

    async fn hear(stream: &mut BufReader<TcpStream>) -> String {
        loop {
            let line = read_line(stream).await.expect("read").expect("a line");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line[..3].to_owned();
            }
        }
    }

    #[tokio::test]
    async fn a_letter_is_kept_as_it_came() {
        let mailbox = Mailbox::open().await.expect("open");
        let mut stream = BufReader::new(TcpStream::connect(mailbox.addr()).await.expect("connect"));
        assert_eq!(hear(&mut stream).await, "220");
        assert_eq!(say(&mut stream, "EHLO me").await, "250");
        assert_eq!(say(&mut stream, "DATA").await, "503");
        assert_eq!(say(&mut stream, "RCPT TO:<a@b.example>").await, "503");
        assert_eq!(
            say(&mut stream, "MAIL FROM:<me@b.example> BODY=8BITMIME").await,
            "250"
        );
        assert_eq!(say(&mut stream, "RCPT TO:<a@b.example>").await, "250");
        assert_eq!(say(&mut stream, "DATA").await, "354");
        let letter = "Subject: two\r\n lines\r\nX: y\r\n\r\nHello\r\n..dotted\r\n.";
        assert_eq!(say(&mut stream, letter).await, "250");
        assert_eq!(say(&mut stream, "QUIT").await, "221");
        assert!(mailbox.wait_for(1, Duration::from_secs(5)).await);
        let letters = mailbox.letters();
        assert_eq!(letters[0].from, "me@b.example");
        assert_eq!(letters[0].to, ["a@b.example"]);
        assert_eq!(letters[0].header("subject").as_deref(), Some("two lines"));
        assert!(letters[0].data.ends_with("Hello\r\n.dotted\r\n"));
        assert!(!mailbox.wait_for(2, Duration::from_millis(20)).await);
    }

    #[tokio::test]
    async fn replies_follow_the_script() {
        let mailbox = Mailbox::open().await.expect("open");
        mailbox.script("slow@b.example", &[Reply::Later, Reply::Takes]);
        mailbox.script("gone@b.example", &[Reply::Unknown]);
        let mut stream = BufReader::new(TcpStream::connect(mailbox.addr()).await.expect("connect"));
        hear(&mut stream).await;
        say(&mut stream, "HELO me").await;
        say(&mut stream, "MAIL FROM:<>").await;
        for (recipient, expected) in [
            ("slow@B.example", "451"),
            ("slow@b.example", "250"),
            ("gone@b.example", "550"),
            ("gone@b.example", "550"),
        ] {
            assert_eq!(
                say(&mut stream, &format!("RCPT TO:<{recipient}>")).await,
                expected
            );
        }
        assert_eq!(say(&mut stream, "NONSENSE").await, "502");
    }
}
