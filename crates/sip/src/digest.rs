//! Digest authentication (RFC 8760, 7616, 2617), both ends: answering a trunk's challenge, and
//! challenging phones with nonces only we can make, each usable once per count.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rsipstack::sip::Headers;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::{config::Algorithm, message};

impl Algorithm {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn from_word(word: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|a| a.word().eq_ignore_ascii_case(word))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex::encode(Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex::encode(Sha256::digest(text.as_bytes())),
        }
    }
}

/// One challenge we know how to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) opaque: Option<String>,
    pub(crate) algorithm: Algorithm,
    /// The header names an algorithm at all; some servers mind one they did not send.
    named: bool,
    pub(crate) qop_auth: bool,
    pub(crate) stale: bool,
}

/// The strongest challenge of a 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`) we can answer.
pub(crate) fn best_challenge(headers: &Headers, name: &str) -> Option<Challenge> {
    let found = message::header_all(headers, name);
    let mut usable: Vec<Challenge> = found.iter().filter_map(|v| parse_challenge(v)).collect();
    // The sort is stable, so of two equally strong ones the server's first is taken.
    usable.sort_by_key(|c| std::cmp::Reverse(c.algorithm));
    usable.into_iter().next()
}

pub(crate) fn parse_challenge(value: &str) -> Option<Challenge> {
    let fields = fields(value)?;
    let algorithm = fields.get("algorithm");
    let qop = fields.get("qop");
    let qop_auth = qop.is_some_and(|q| q.split(',').any(|w| w.trim().eq_ignore_ascii_case("auth")));
    if qop.is_some() && !qop_auth {
        return None;
    }
    Some(Challenge {
        realm: fields.get("realm")?.clone(),
        nonce: fields.get("nonce")?.clone(),
        opaque: fields.get("opaque").cloned(),
        algorithm: algorithm.map_or(Some(Algorithm::Md5), |a| Algorithm::from_word(a))?,
        named: algorithm.is_some(),
        qop_auth,
        stale: fields
            .get("stale")
            .is_some_and(|s| s.eq_ignore_ascii_case("true")),
    })
}

/// The value of Authorization or Proxy-Authorization.
pub(crate) fn answer(
    challenge: &Challenge,
    user: &str,
    password: &str,
    method: &str,
    uri: &str,
    count: u32,
    cnonce: &str,
) -> String {
    let c = challenge;
    let secret = secret(c.algorithm, user, &c.realm, password);
    let nc = format!("{count:08x}");
    let proof = c.qop_auth.then_some((nc.as_str(), cnonce));
    let response = response(c.algorithm, &secret, &c.nonce, proof, method, uri);
    let mut value = format!(
        "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\"",
        escape(user),
        escape(&c.realm),
        escape(&c.nonce)
    );
    if c.named {
        value.push_str(&format!(", algorithm={}", c.algorithm.word()));
    }
    if c.qop_auth {
        value.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
    }
    if let Some(opaque) = &c.opaque {
        value.push_str(&format!(", opaque=\"{}\"", escape(opaque)));
    }
    value
}

/// What an Authorization header was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// The password is right but the nonce is old or was used with this count: ask again.
    Stale,
    Bad,
}

/// Makes nonces and checks what comes back for them. A nonce carries its own birth time and proof, so
/// nothing is remembered for people who never authenticate.
pub(crate) struct Guard {
    realm: String,
    algorithms: Vec<Algorithm>,
    key: [u8; 32],
    born: Instant,
    life: Duration,
    used: Mutex<HashMap<String, (u32, Instant)>>,
    max_used: usize,
}

impl Guard {
    pub(crate) fn new(
        realm: &str,
        algorithms: &[Algorithm],
        key: [u8; 32],
        life: Duration,
    ) -> Guard {
        Guard {
            realm: realm.to_owned(),
            algorithms: algorithms.to_vec(),
            key,
            born: Instant::now(),
            life,
            used: Mutex::new(HashMap::new()),
            max_used: 10_000,
        }
    }

    /// One `WWW-Authenticate` value per algorithm, in the configured order.
    pub(crate) fn challenges(&self, stale: bool, salt: u64, now: Instant) -> Vec<String> {
        let nonce = self.nonce(salt, now);
        let stale = if stale { ", stale=true" } else { "" };
        self.algorithms
            .iter()
            .map(|a| {
                let realm = escape(&self.realm);
                format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}", a.word())
            })
            .collect()
    }

    /// Whether a header at least carries a nonce of ours that is still fresh: checked before any state is
    /// made for the request.
    pub(crate) fn knows(&self, value: &str, now: Instant) -> bool {
        fields(value)
            .and_then(|f| f.get("nonce").map(|n| self.nonce_age(n, now).is_some()))
            .unwrap_or(false)
    }

    /// The user named in the header, before anything is proven.
    pub(crate) fn claimed_user(value: &str) -> Option<String> {
        fields(value)?.get("username").cloned()
    }

    /// Checks the header against a password, for this method and request URI.
    pub(crate) fn check(
        &self,
        value: &str,
        password: &str,
        method: &str,
        uri: &str,
        now: Instant,
    ) -> Verdict {
        self.check_fields(value, password, method, uri, now)
            .unwrap_or(Verdict::Bad)
    }

    fn check_fields(
        &self,
        value: &str,
        password: &str,
        method: &str,
        uri: &str,
        now: Instant,
    ) -> Option<Verdict> {
        let fields = fields(value)?;
        let algorithm = fields
            .get("algorithm")
            .map_or(Some(Algorithm::Md5), |a| Algorithm::from_word(a))?;
        let (nonce, nc, cnonce) = (
            fields.get("nonce")?,
            fields.get("nc")?,
            fields.get("cnonce")?,
        );
        // Realm, algorithm and qop are ours to choose, and the digest must be for this very request.
        let ours = fields.get("realm")? == &self.realm
            && self.algorithms.contains(&algorithm)
            && fields.get("qop")?.eq_ignore_ascii_case("auth")
            // Our parser may write a parameter in another case than the phone did; the hash is over theirs.
            && fields.get("uri")?.eq_ignore_ascii_case(uri)
            && nc.len() == 8;
        if !ours {
            return None;
        }
        let count = u32::from_str_radix(nc, 16).ok()?;
        let secret = secret(algorithm, fields.get("username")?, &self.realm, password);
        let expected = self::response(
            algorithm,
            &secret,
            nonce,
            Some((nc, cnonce)),
            method,
            fields.get("uri")?,
        );
        let given = fields.get("response")?.to_ascii_lowercase();
        if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            return None;
        }
        let fresh = self
            .nonce_age(nonce, now)
            .is_some_and(|age| age <= self.life);
        Some(if fresh && self.first_use(nonce, count, now) {
            Verdict::Good
        } else {
            Verdict::Stale
        })
    }

    fn first_use(&self, nonce: &str, count: u32, now: Instant) -> bool {
        let mut used = self
            .used
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if used.len() >= self.max_used {
            let life = self.life;
            used.retain(|_, (_, at)| now.saturating_duration_since(*at) <= life);
            if used.len() >= self.max_used {
                // Full of fresh ones: refuse as stale rather than forget a count and allow a replay.
                return false;
            }
        }
        let last = used.entry(nonce.to_owned()).or_insert((0, now));
        let first = count > last.0;
        if first {
            *last = (count, now);
        }
        first
    }

    fn nonce(&self, salt: u64, now: Instant) -> String {
        let mut bytes = Vec::with_capacity(32);
        let age = now.saturating_duration_since(self.born).as_millis();
        bytes.extend_from_slice(&u64::try_from(age).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(&salt.to_be_bytes());
        let seal = self.seal(&bytes);
        bytes.extend_from_slice(&seal[..16]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn nonce_age(&self, nonce: &str, now: Instant) -> Option<Duration> {
        let bytes = URL_SAFE_NO_PAD
            .decode(nonce)
            .ok()
            .filter(|b| b.len() == 32)?;
        let (body, seal) = bytes.split_at(16);
        if !bool::from(self.seal(body)[..16].ct_eq(seal)) {
            return None;
        }
        let made = u64::from_be_bytes(body[..8].try_into().ok()?);
        Some(
            now.saturating_duration_since(self.born)
                .saturating_sub(Duration::from_millis(made)),
        )
    }

    fn seal(&self, body: &[u8]) -> [u8; 32] {
        // An HMAC takes a key of any length, so the constructor cannot fail on 32 bytes; if it ever did,
        // an all-zero seal would match no nonce we made, and everybody would be refused.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return [0; 32];
        };
        mac.update(body);
        mac.update(self.realm.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn secret(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&format!("{user}:{realm}:{password}"))
}

fn response(
    algorithm: Algorithm,
    secret: &str,
    nonce: &str,
    proof: Option<(&str, &str)>,
    method: &str,
    uri: &str,
) -> String {
    let request = algorithm.hash(&format!("{method}:{uri}"));
    match proof {
        Some((nc, cnonce)) => {
            algorithm.hash(&format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{request}"))
        }
        None => algorithm.hash(&format!("{secret}:{nonce}:{request}")),
    }
}

/// `Digest a="b", c=d` as lower-case names and unquoted values. A name said twice spoils the header.
fn fields(value: &str) -> Option<HashMap<String, String>> {
    let (scheme, rest) = value.trim().split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("Digest") || rest.len() > 4096 {
        return None;
    }
    let mut fields = HashMap::new();
    for part in message::split_list(rest) {
        let (name, word) = part.split_once('=')?;
        let word = word.trim();
        let word = match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            Some(quoted) => unescape(quoted),
            None => word.to_owned(),
        };
        if fields
            .insert(name.trim().to_ascii_lowercase(), word)
            .is_some()
        {
            return None;
        }
    }
    Some(fields)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(value: &str, name: &str) -> String {
        fields(value).unwrap().remove(name).unwrap()
    }

    #[test]
    fn rfc_2617_example() {
        let challenge = parse_challenge(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        )
        .unwrap();
        let value = answer(
            &challenge,
            "Mufasa",
            "Circle Of Life",
            "GET",
            "/dir/index.html",
            1,
            "0a4f113b",
        );
        assert_eq!(
            field(&value, "response"),
            "6629fae49393a05397450978507c4ef1"
        );
        assert_eq!(field(&value, "opaque"), "5ccc069c403ebaf9f0171e9517f40e41");
        assert!(value.contains("qop=auth,") && value.contains("nc=00000001"));
        assert!(!value.contains("algorithm"));
    }

    #[test]
    fn rfc_7616_examples() {
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = parse_challenge(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .unwrap();
            let value = answer(
                &challenge,
                "Mufasa",
                "Circle of Life",
                "GET",
                "/dir/index.html",
                1,
                cnonce,
            );
            assert_eq!(field(&value, "response"), response);
        }
    }

    #[test]
    fn rfc_2069_style_without_qop() {
        let challenge = parse_challenge("Digest realm=\"r\", nonce=\"n\"").unwrap();
        let value = answer(&challenge, "u", "p", "INVITE", "sip:x", 1, "c");
        assert!(!value.contains("qop") && !value.contains("cnonce") && !value.contains("nc="));
        let expected = Algorithm::Md5.hash(&format!(
            "{}:n:{}",
            Algorithm::Md5.hash("u:r:p"),
            Algorithm::Md5.hash("INVITE:sip:x")
        ));
        assert_eq!(field(&value, "response"), expected);
    }

    #[test]
    fn unknown_kinds_are_passed_over_and_the_strongest_taken() {
        for text in [
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\"",
            "Basic realm=\"r\"",
            "Digest realm=\"r\", nonce=\"n\", nonce=\"m\"",
        ] {
            assert_eq!(parse_challenge(text), None, "{text}");
        }
        let mut headers = Headers::default();
        for algorithm in ["MD5", "SHA-512-256", "SHA-256"] {
            let value = format!(
                "Digest realm=\"r\", nonce=\"{algorithm}\", algorithm={algorithm}, qop=\"auth\""
            );
            headers.push(rsipstack::sip::Header::WwwAuthenticate(value.into()));
        }
        assert_eq!(
            best_challenge(&headers, "WWW-Authenticate")
                .unwrap()
                .algorithm,
            Algorithm::Sha256
        );
        assert_eq!(best_challenge(&headers, "Proxy-Authenticate"), None);
    }

    fn guard() -> Guard {
        Guard::new(
            "ringback",
            &[Algorithm::Sha256, Algorithm::Md5],
            [7; 32],
            Duration::from_secs(60),
        )
    }

    #[test]
    fn a_phone_gets_in_once_per_count() {
        let guard = guard();
        let now = Instant::now();
        for (index, offered) in guard.challenges(false, 5, now).iter().enumerate() {
            let challenge = parse_challenge(offered).unwrap();
            let uri = "sip:ringback.example";
            // Counts beyond one hexadecimal byte are where another implementation went wrong.
            for count in [
                1 + index as u32 * 0x1000,
                0x0a + index as u32 * 0x1000,
                0x1ff + index as u32 * 0x1000,
            ] {
                let value = answer(&challenge, "anna", "secret", "REGISTER", uri, count, "abc");
                assert!(guard.knows(&value, now));
                assert_eq!(Guard::claimed_user(&value).as_deref(), Some("anna"));
                assert_eq!(
                    guard.check(&value, "wrong", "REGISTER", uri, now),
                    Verdict::Bad
                );
                assert_eq!(
                    guard.check(&value, "secret", "INVITE", uri, now),
                    Verdict::Bad
                );
                assert_eq!(
                    guard.check(&value, "secret", "REGISTER", "sip:other", now),
                    Verdict::Bad
                );
                assert_eq!(
                    guard.check(&value, "secret", "REGISTER", uri, now),
                    Verdict::Good
                );
                assert_eq!(
                    guard.check(&value, "secret", "REGISTER", uri, now),
                    Verdict::Stale
                );
            }
        }
    }

    #[test]
    fn made_up_and_old_nonces_do_not_pass() {
        let guard = guard();
        let now = Instant::now();
        let uri = "sip:ringback.example";
        let theirs =
            parse_challenge("Digest realm=\"ringback\", nonce=\"made-up\", qop=\"auth\"").unwrap();
        let value = answer(&theirs, "anna", "secret", "REGISTER", uri, 1, "abc");
        assert!(!guard.knows(&value, now));
        assert_eq!(
            guard.check(&value, "secret", "REGISTER", uri, now),
            Verdict::Stale
        );
        let mut challenge = parse_challenge(&guard.challenges(false, 1, now)[0]).unwrap();
        let value = answer(&challenge, "anna", "secret", "REGISTER", uri, 1, "abc");
        let later = now + Duration::from_secs(61);
        assert_eq!(
            guard.check(&value, "secret", "REGISTER", uri, later),
            Verdict::Stale
        );
        challenge.realm = "elsewhere".to_owned();
        let value = answer(&challenge, "anna", "secret", "REGISTER", uri, 2, "abc");
        assert_eq!(
            guard.check(&value, "secret", "REGISTER", uri, now),
            Verdict::Bad
        );
    }

    proptest! {
        #[test]
        fn no_header_panics(value in "(Digest )?\\PC{0,120}", named in "(Digest )([a-z]{1,9}=\"?[ -~]{0,12}\"?,? ?){0,9}") {
            let guard = guard();
            for value in [&value, &named] {
                let _ = parse_challenge(value);
                let _ = guard.check(value, "p", "REGISTER", "sip:x", Instant::now());
            }
        }
    }
}
