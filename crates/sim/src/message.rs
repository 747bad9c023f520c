//! SIP messages as these telephones read and write them: just enough, and nobody else's code.

use std::fmt::Write;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub start: Start,
    headers: Vec<(String, String)>,
    pub body: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Request { method: String, uri: String },
    Response { code: u16 },
}

impl Message {
    pub fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request {
            method: method.to_owned(),
            uri: uri.to_owned(),
        };
        Message {
            start,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// An answer to `request`, with what has to be copied from it.
    pub fn answer(request: &Message, code: u16, to_tag: Option<&str>) -> Self {
        let mut answer = Message {
            start: Start::Response { code },
            headers: Vec::new(),
            body: String::new(),
        };
        for (name, value) in &request.headers {
            match name.as_str() {
                "via" | "from" | "call-id" | "cseq" | "record-route" => {
                    answer.headers.push((name.clone(), value.clone()))
                }
                "to" => {
                    let tagged = match to_tag {
                        Some(tag) if param(value, "tag").is_none() => format!("{value};tag={tag}"),
                        _ => value.clone(),
                    };
                    answer.headers.push((name.clone(), tagged));
                }
                _ => {}
            }
        }
        answer
    }

    /// `None` for anything that is not a whole SIP message with the headers everyone needs.
    pub fn parse(datagram: &[u8]) -> Option<Message> {
        let text = std::str::from_utf8(datagram)
            .ok()?
            .trim_start_matches(['\r', '\n']);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.splitn(3, ' ');
        let (first, second, third) = (words.next()?, words.next()?, words.next()?);
        let start = if first == "SIP/2.0" {
            let code = second
                .parse()
                .ok()
                .filter(|code| (100..700).contains(code))?;
            Start::Response { code }
        } else if third == "SIP/2.0" && first.chars().all(|c| c.is_ascii_alphabetic()) {
            Start::Request {
                method: first.to_owned(),
                uri: second.to_owned(),
            }
        } else {
            return None;
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            if headers.len() >= MOST_HEADERS {
                return None;
            }
            let (name, value) = line.split_once(':')?;
            let name = full_name(name.trim());
            // Lists are taken apart where order matters; a comma inside quotes or brackets is no border.
            if matches!(name.as_str(), "via" | "record-route" | "route" | "contact") {
                headers.extend(
                    split_list(value)
                        .into_iter()
                        .map(|value| (name.clone(), value)),
                );
            } else {
                headers.push((name, value.trim().to_owned()));
            }
        }
        let mut message = Message {
            start,
            headers,
            body: body.to_owned(),
        };
        if let Some(length) = message.header("content-length") {
            let length: usize = length.parse().ok()?;
            if length > message.body.len() || !message.body.is_char_boundary(length) {
                return None;
            }
            message.body.truncate(length);
        }
        let whole = ["via", "from", "to", "call-id", "cseq"]
            .iter()
            .all(|name| message.header(name).is_some());
        (whole && message.cseq().is_some()).then_some(message)
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    pub fn with_body(mut self, mime: &str, body: String) -> Self {
        self.body = body;
        self.with("content-type", mime)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn set_first(&mut self, name: &str, value: String) {
        if let Some(header) = self.headers.iter_mut().find(|(key, _)| key == name) {
            header.1 = value;
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| key != name);
    }

    pub fn method(&self) -> &str {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => self.cseq().map_or("", |(_, method)| method),
        }
    }

    pub fn uri(&self) -> &str {
        match &self.start {
            Start::Request { uri, .. } => uri,
            Start::Response { .. } => "",
        }
    }

    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("cseq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    pub fn call_id(&self) -> &str {
        self.header("call-id").unwrap_or_default()
    }

    pub fn branch(&self) -> &str {
        self.header("via")
            .and_then(|via| param(via, "branch"))
            .unwrap_or_default()
    }

    pub fn caller_tag(&self) -> &str {
        self.header("from")
            .and_then(|from| param(from, "tag"))
            .unwrap_or_default()
    }

    pub fn to_tag(&self) -> Option<&str> {
        self.header("to").and_then(|to| param(to, "tag"))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { code } => format!("SIP/2.0 {code} {}\r\n", reason(*code)),
        };
        for (name, value) in &self.headers {
            if name != "content-length" {
                // Writing to a string cannot fail.
                let _ = write!(text, "{}: {value}\r\n", written_name(name));
            }
        }
        let _ = write!(
            text,
            "Content-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        text.into_bytes()
    }
}

/// A parameter behind the address (not inside its brackets).
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let behind = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    behind.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim()
            .eq_ignore_ascii_case(name)
            .then_some(value.trim())
    })
}

/// The URI of an address header.
pub fn uri_of(value: &str) -> &str {
    match value
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
    {
        Some((uri, _)) => uri,
        None => value.split(';').next().unwrap_or_default().trim(),
    }
}

/// The part of a SIP URI before the `@`, without parameters.
pub fn user_of(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let user = rest.split_once('@').map_or("", |(user, _)| user);
    user.split(';').next().unwrap_or_default()
}

/// Host and port of a SIP URI, if they are written as numbers: the town has no name server.
pub fn socket_of(uri: &str) -> Option<std::net::SocketAddr> {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?', '>']).next()?;
    host.parse().ok().or_else(|| {
        host.parse()
            .ok()
            .map(|ip: std::net::IpAddr| (ip, 5060).into())
    })
}

fn full_name(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "v" => "via",
        "f" => "from",
        "t" => "to",
        "i" => "call-id",
        "m" => "contact",
        "l" => "content-length",
        "c" => "content-type",
        "k" => "supported",
        other => return other.to_owned(),
    }
    .to_owned()
}

/// Names are kept in small letters; peers that compare them otherwise exist.
fn written_name(name: &str) -> String {
    match name {
        "call-id" => return "Call-ID".to_owned(),
        "cseq" => return "CSeq".to_owned(),
        "www-authenticate" => return "WWW-Authenticate".to_owned(),
        _ => {}
    }
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}

fn split_list(value: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut bracketed) = (false, false);
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            ',' if !quoted && !bracketed => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part.trim().to_owned());
    parts
}

fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "So It Is",
    }
}

const MOST_HEADERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+4930123;phone-context=x@127.0.0.1:5060;user=phone SIP/2.0\r\n\
        v: SIP/2.0/UDP a.example;branch=z9hG4bK1;rport,\r\n SIP/2.0/UDP b.example;branch=z9hG4bK2\r\n\
        f: \"A, B\" <sip:a@example.org;tag=no>;tag=yes\r\nTo: <sip:b@example.org>\r\ni: 1@x\r\nCSeq: 7 INVITE\r\n\
        Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nl: 4\r\n\r\nbodyrest";

    #[test]
    fn a_message_is_taken_apart() {
        let message = Message::parse(INVITE.as_bytes()).expect("a message");
        assert_eq!(message.method(), "INVITE");
        assert_eq!(user_of(message.uri()), "+4930123");
        assert_eq!(message.branch(), "z9hG4bK1");
        assert_eq!(message.all("via").count(), 2);
        assert_eq!(message.caller_tag(), "yes");
        assert_eq!(message.to_tag(), None);
        assert_eq!(message.cseq(), Some((7, "INVITE")));
        assert_eq!(message.body, "body");
        let answer = Message::answer(&message, 180, Some("mine"));
        let back = Message::parse(&answer.to_bytes()).expect("a message");
        assert_eq!(back.to_tag(), Some("mine"));
        assert_eq!(
            back.all("record-route").collect::<Vec<_>>(),
            ["<sip:p1;lr>", "<sip:p2;lr>"]
        );
        assert_eq!(back.start, Start::Response { code: 180 });
    }

    #[test]
    fn half_a_message_is_none() {
        for bad in [
            "",
            "\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\n\r\n",
            "SIP/2.0 99 x\r\nVia: x\r\n\r\n",
            &INVITE.replace("l: 4", "l: 400"),
            &INVITE.replace("CSeq: 7 INVITE", "CSeq: INVITE"),
            &INVITE.replace("SIP/2.0\r\nv", "SIP/3.0\r\nv"),
        ] {
            assert_eq!(Message::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Message::parse(&[0xff, 0xfe]), None);
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(uri_of("\"x\" <sip:a@b;lr>;tag=1"), "sip:a@b;lr");
        assert_eq!(uri_of("sip:a@b;tag=1"), "sip:a@b");
        assert_eq!(
            socket_of("sip:a@127.0.0.1:5070;transport=udp"),
            "127.0.0.1:5070".parse().ok()
        );
        assert_eq!(socket_of("sip:127.0.0.1"), "127.0.0.1:5060".parse().ok());
        assert_eq!(socket_of("sip:[::1]:5070"), "[::1]:5070".parse().ok());
        assert_eq!(socket_of("sip:a@host.example"), None);
    }
}
