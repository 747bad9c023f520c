//! Digest authentication (RFC 2617 and 7616), both ends, as these telephones need it.

use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

#[derive(Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// A challenge as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The server offered `qop="auth"`.
    qop: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Challenge {
    pub fn parse(header: &str) -> Option<Challenge> {
        let mut fields = fields(header)?;
        let algorithm = match fields
            .remove("algorithm")
            .as_deref()
            .map(str::to_ascii_uppercase)
            .as_deref()
        {
            None | Some("MD5") => Algorithm::Md5,
            Some("SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        let qop = fields
            .get("qop")
            .is_some_and(|qop| qop.split(',').any(|one| one.trim() == "auth"));
        Some(Challenge {
            realm: fields.remove("realm")?,
            nonce: fields.remove("nonce")?,
            opaque: fields.remove("opaque"),
            algorithm,
            qop,
        })
    }

    /// The value of `Authorization` or `Proxy-Authorization`.
    pub fn answer(&self, login: &Login, method: &str, uri: &str, cnonce: &str) -> String {
        let secret = format!("{}:{}:{}", login.user, self.realm, login.password);
        let (nc, qop) = ("00000001", if self.qop { Some("auth") } else { None });
        let response = response(
            self.algorithm,
            &secret,
            &self.nonce,
            qop.map(|qop| (nc, cnonce, qop)),
            method,
            uri,
        );
        let algorithm = match self.algorithm {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        };
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={algorithm}",
            login.user, self.realm, self.nonce
        );
        if self.qop {
            header.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            header.push_str(&format!(", opaque=\"{opaque}\""));
        }
        header
    }
}

/// Whether an `Authorization` value proves the login for a nonce of ours.
pub fn proves(header: &str, login: &Login, realm: &str, nonce: &str, method: &str) -> bool {
    let Some(fields) = fields(header) else {
        return false;
    };
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    if field("username") != login.user || field("realm") != realm || field("nonce") != nonce {
        return false;
    }
    let algorithm = if field("algorithm").eq_ignore_ascii_case("SHA-256") {
        Algorithm::Sha256
    } else {
        Algorithm::Md5
    };
    let secret = format!("{}:{realm}:{}", login.user, login.password);
    let qop = fields
        .get("qop")
        .map(|qop| (field("nc"), field("cnonce"), qop.as_str()));
    response(algorithm, &secret, nonce, qop, method, field("uri")) == field("response")
}

fn response(
    algorithm: Algorithm,
    secret: &str,
    nonce: &str,
    qop: Option<(&str, &str, &str)>,
    method: &str,
    uri: &str,
) -> String {
    let hash = |text: String| match algorithm {
        Algorithm::Md5 => hex::encode(Md5::digest(text.as_bytes())),
        Algorithm::Sha256 => hex::encode(Sha256::digest(text.as_bytes())),
    };
    let (who, what) = (hash(secret.to_owned()), hash(format!("{method}:{uri}")));
    match qop {
        Some((nc, cnonce, qop)) => hash(format!("{who}:{nonce}:{nc}:{cnonce}:{qop}:{what}")),
        None => hash(format!("{who}:{nonce}:{what}")),
    }
}

/// `key=value` pairs behind `Digest`, quotes taken off.
fn fields(header: &str) -> Option<HashMap<String, String>> {
    let rest = header.trim().strip_prefix("Digest ")?;
    let mut fields = HashMap::new();
    let (mut quoted, mut part) = (false, String::new());
    for c in rest.chars().chain([',']) {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                if let Some((key, value)) = part.split_once('=') {
                    fields.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
                }
                part.clear();
            }
            c => part.push(c),
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mufasa(password: &str) -> Login {
        Login {
            user: "Mufasa".to_owned(),
            password: password.to_owned(),
        }
    }

    /// The example of RFC 7616, section 3.9.1.
    #[test]
    fn the_standards_own_example() {
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = Challenge::parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .expect("a challenge");
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let answer =
                challenge.answer(&mufasa("Circle of Life"), "GET", "/dir/index.html", cnonce);
            assert!(
                answer.contains(&format!("response=\"{expected}\"")),
                "{answer}"
            );
            assert!(answer.contains("opaque=\"FQhe/"));
            let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
            assert!(proves(
                &answer,
                &mufasa("Circle of Life"),
                "http-auth@example.org",
                nonce,
                "GET"
            ));
            assert!(!proves(
                &answer,
                &mufasa("Circle of Lies"),
                "http-auth@example.org",
                nonce,
                "GET"
            ));
            assert!(!proves(
                &answer,
                &mufasa("Circle of Life"),
                "http-auth@example.org",
                "other",
                "GET"
            ));
        }
        assert_eq!(Challenge::parse("Basic realm=\"x\""), None);
        assert_eq!(
            Challenge::parse("Digest realm=\"x\", nonce=\"y\", algorithm=ROT13"),
            None
        );
    }
}
