//! Session descriptions of one audio stream: reading the other's, writing one's own.

use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where the other wants its media; `None` without an audio stream or with port 0.
    pub media: Option<SocketAddr>,
    pub direction: Direction,
    /// Media lines in all, so that an answer has as many.
    pub streams: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// What the other side of a stream says.
    pub fn mirrored(self) -> Self {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            same @ (Direction::SendRecv | Direction::Inactive) => same,
        }
    }
}

impl Description {
    pub fn parse(text: &str) -> Option<Description> {
        let mut session_host: Option<IpAddr> = None;
        let (mut audio_host, mut port): (Option<IpAddr>, Option<u16>) = (None, None);
        let mut direction = Direction::SendRecv;
        let (mut streams, mut in_audio) = (0, false);
        if !text.starts_with("v=0") {
            return None;
        }
        for line in text.lines() {
            let line = line.trim_end();
            let (kind, value) = line.split_once('=')?;
            match kind {
                "c" => {
                    let host = value.split(' ').nth(2)?.parse().ok()?;
                    if streams == 0 {
                        session_host = Some(host);
                    } else if in_audio {
                        audio_host = Some(host);
                    }
                }
                "m" => {
                    streams += 1;
                    in_audio = port.is_none() && value.starts_with("audio ");
                    if in_audio {
                        port = Some(value.split(' ').nth(1)?.parse().ok()?);
                    }
                }
                "a" if streams == 0 || in_audio => match value {
                    "sendrecv" => direction = Direction::SendRecv,
                    "sendonly" => direction = Direction::SendOnly,
                    "recvonly" => direction = Direction::RecvOnly,
                    "inactive" => direction = Direction::Inactive,
                    _ => {}
                },
                _ => {}
            }
        }
        let media = match (audio_host.or(session_host), port) {
            (Some(host), Some(port)) if port != 0 && !host.is_unspecified() => {
                Some(SocketAddr::new(host, port))
            }
            _ => None,
        };
        Some(Description {
            media,
            direction,
            streams,
        })
    }
}

/// A description of ours: PCMU and telephone events at `media`, nothing for further streams.
pub fn write(
    media: SocketAddr,
    direction: Direction,
    streams: usize,
    session: u64,
    version: u64,
) -> String {
    let family = if media.is_ipv4() { "IP4" } else { "IP6" };
    let ip = media.ip();
    let mut text = format!(
        "v=0\r\no=- {session} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n"
    );
    for stream in 0..streams {
        if stream == 0 {
            text.push_str(&format!(
                "m=audio {} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na={}\r\n",
                media.port(),
                direction.name()
            ));
        } else {
            text.push_str("m=video 0 RTP/AVP 31\r\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let media: SocketAddr = "127.0.0.1:4000".parse().expect("an address");
        for direction in [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ] {
            let read = Description::parse(&write(media, direction, 1, 1, 2)).expect("readable");
            assert_eq!(
                read,
                Description {
                    media: Some(media),
                    direction,
                    streams: 1
                }
            );
            assert_eq!(direction.mirrored().mirrored(), direction);
        }
        let empty =
            Description::parse(&write(media, Direction::SendRecv, 0, 1, 2)).expect("readable");
        assert_eq!((empty.media, empty.streams), (None, 0));
    }

    #[test]
    fn the_streams_own_address_wins() {
        let text = "v=0\no=- 1 1 IN IP4 1.1.1.1\ns=-\nc=IN IP4 1.1.1.1\nt=0 0\nm=audio 9 RTP/AVP 0\nc=IN IP4 127.0.0.2\na=inactive\nm=video 7 RTP/AVP 31\na=sendrecv";
        let read = Description::parse(text).expect("readable");
        assert_eq!(read.media, "127.0.0.2:9".parse().ok());
        assert_eq!((read.direction, read.streams), (Direction::Inactive, 2));
        for bad in [
            "",
            "hello",
            "v=0\nm=audio x RTP/AVP 0",
            "v=0\nc=IN IP4",
            "v=0\nnonsense",
        ] {
            assert_eq!(Description::parse(bad), None, "{bad:?}");
        }
    }
}
