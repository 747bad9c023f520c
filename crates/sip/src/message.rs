//! Reading and building SIP messages over the stack's types, by header name and plain text, so that
//! the rest of this crate does not depend on how the stack models each header.

use rsipstack::sip::{Headers, Method, Request, SipMessage};

/// A message we were about to build is not well formed: a control character, or a URI nobody can parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message would not be well formed")]
pub(crate) struct BadMessage;

/// The first value of a header, by its full name; compact forms are found too.
pub(crate) fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|h| same_name(h.name(), name))
        .map(|h| h.value().trim())
}

/// Every value of a header, in order.
pub(crate) fn header_all<'a>(headers: &'a Headers, name: &str) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|h| same_name(h.name(), name))
        .map(|h| h.value().trim())
        .collect()
}

/// Whether a comma separated header such as Supported lists a word.
pub(crate) fn lists(headers: &Headers, name: &str, word: &str) -> bool {
    header_all(headers, name)
        .iter()
        .flat_map(|v| v.split(','))
        .any(|t| t.trim().eq_ignore_ascii_case(word))
}

/// Splits at commas that stand outside quotes and angle brackets.
pub(crate) fn split_list(value: &str) -> Vec<String> {
    split_outside(value, ',')
}

/// The URI of a name-addr or addr-spec: `"N" <sip:a@b>;x=y` gives `sip:a@b`.
pub(crate) fn address_uri(value: &str) -> Option<String> {
    let outside = skip_quoted(value);
    let uri = match outside.find('<') {
        Some(start) => {
            let rest = &outside[start + 1..];
            &rest[..rest.find('>')?]
        }
        None => value.split(';').next()?,
    };
    let uri = uri.trim();
    let sane = !uri.is_empty() && uri.len() <= 512 && uri.bytes().all(|b| b.is_ascii_graphic());
    sane.then(|| uri.to_owned())
}

/// A parameter behind a name-addr: `<sip:a@b>;tag=x` gives `x` for `tag`.
pub(crate) fn address_param(value: &str, name: &str) -> Option<String> {
    let outside = skip_quoted(value);
    let tail = match outside.find('<') {
        Some(start) => &outside[start + outside[start..].find('>')? + 1..],
        None => outside,
    };
    split_outside(tail, ';').iter().skip(1).find_map(|p| {
        let (key, word) = p.split_once('=').unwrap_or((p, ""));
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| word.trim().trim_matches('"').to_owned())
    })
}

/// The tag of a From or To value; empty and absurdly long tags count as none.
pub(crate) fn tag(value: &str) -> Option<String> {
    address_param(value, "tag").filter(|t| !t.is_empty() && t.len() <= 256)
}

pub(crate) fn from_tag(headers: &Headers) -> Option<String> {
    header(headers, "From").and_then(tag)
}

pub(crate) fn to_tag(headers: &Headers) -> Option<String> {
    header(headers, "To").and_then(tag)
}

pub(crate) fn call_id(headers: &Headers) -> Option<&str> {
    header(headers, "Call-ID")
}

/// Number and method of CSeq.
pub(crate) fn cseq(headers: &Headers) -> Option<(u32, &str)> {
    let mut words = header(headers, "CSeq")?.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?))
}

/// The body as text, if it claims to be a session description and is one UTF-8 piece of fair size.
pub(crate) fn sdp_body<'a>(headers: &Headers, body: &'a [u8]) -> Option<&'a str> {
    let kind = header(headers, "Content-Type")?
        .split(';')
        .next()?
        .trim()
        .to_ascii_lowercase();
    if kind != "application/sdp" || body.is_empty() || body.len() > 16_384 {
        return None;
    }
    std::str::from_utf8(body).ok()
}

/// Builds a request from its lines. Values that hold a control character are refused, which is what
/// keeps a stray line break from becoming a header.
pub(crate) fn request(
    method: Method,
    uri: &str,
    lines: &[(String, String)],
    body: Option<&str>,
) -> Result<Request, BadMessage> {
    let clean = |text: &str| !text.bytes().any(|b| b < 0x20 || b == 0x7f);
    if !clean(uri) || uri.contains(' ') || !lines.iter().all(|(n, v)| clean(n) && clean(v)) {
        return Err(BadMessage);
    }
    let body = body.unwrap_or_default();
    let mut text = format!("{method} {uri} SIP/2.0\r\n");
    for (name, value) in lines {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    match SipMessage::try_from(text.as_bytes()) {
        Ok(SipMessage::Request(request)) => Ok(request),
        Ok(SipMessage::Response(_)) | Err(_) => Err(BadMessage),
    }
}

fn same_name(found: &str, wanted: &str) -> bool {
    let compact = match wanted {
        "Session-Expires" => "x",
        "Refer-To" => "r",
        "Supported" => "k",
        "Allow-Events" => "u",
        _ => "",
    };
    found.eq_ignore_ascii_case(wanted)
        || (!compact.is_empty() && found.eq_ignore_ascii_case(compact))
}

/// What follows a leading quoted display name, which may itself hold brackets and commas.
fn skip_quoted(value: &str) -> &str {
    let value = value.trim_start();
    if !value.starts_with('"') {
        return value;
    }
    let mut escaped = false;
    for (at, c) in value.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return &value[at + 1..],
            _ => escaped = false,
        }
    }
    ""
}

fn split_outside(value: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for c in value.chars() {
        if c == separator && !quoted && !bracketed {
            parts.push(String::new());
            continue;
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    for part in &mut parts {
        *part = part.trim().to_owned();
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_addresses_apart() {
        for (value, uri, tagged) in [
            ("<sip:a@b>;tag=1", Some("sip:a@b"), Some("1")),
            ("sip:a@b;tag=1", Some("sip:a@b"), Some("1")),
            (
                "\"x <sip:no@no>;tag=9\" <sip:a@b;lr>;p=q;tag=\"2\"",
                Some("sip:a@b;lr"),
                Some("2"),
            ),
            ("\"quote \\\" inside\" <sip:a@b>", Some("sip:a@b"), None),
            ("<sip:a@b", None, None),
            ("\"never ends", None, None),
            ("<sip:a b>", None, None),
            ("", None, None),
        ] {
            assert_eq!(address_uri(value).as_deref(), uri, "{value}");
            assert_eq!(tag(value).as_deref(), tagged, "{value}");
        }
    }

    #[test]
    fn splits_lists_outside_quotes() {
        assert_eq!(
            split_list("<sip:a,b>, \"c, d\" <sip:e>,f"),
            ["<sip:a,b>", "\"c, d\" <sip:e>", "f"]
        );
    }

    #[test]
    fn refuses_lines_that_would_break_out() {
        let line = |v: &str| vec![("Subject".to_owned(), v.to_owned())];
        assert!(request(Method::Options, "sip:a@b", &line("x\r\nVia: y"), None).is_err());
        assert!(request(Method::Options, "sip:a@b x", &line("x"), None).is_err());
        assert!(request(Method::Options, "sip:a@b", &line("x"), None).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(value in "\\PC{0,80}|[<>\",;=\\\\ a-z:@\r\n]{0,80}") {
            let _ = address_uri(&value);
            let _ = tag(&value);
            let _ = split_list(&value);
            let _ = crate::failure::q850_cause(&value);
            let _ = crate::failure::retry_after(&value);
        }
    }
}
