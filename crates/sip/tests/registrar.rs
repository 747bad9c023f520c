//! Phones that register with us, and are rung where they really are.

mod support;

use std::{collections::HashMap, time::Duration};

use md5::{Digest, Md5};
use ringback_sip::{Algorithm, BridgeEndKind, RegistrarConfig, SipConfig, SipEngine};
use sha2::Sha256;
use support::{
    call, config,
    phone::{Manner, Phone, header},
    run, target,
    wire::{Wire, reply},
};

async fn engine() -> (SipEngine, u16) {
    let registrar = RegistrarConfig {
        users: HashMap::from([("anna".to_owned(), "pa\"ss".to_owned())]),
        min_expires: Duration::from_secs(10),
        max_contacts: 2,
        ..RegistrarConfig::default()
    };
    let engine = SipEngine::start(SipConfig {
        registrar: Some(registrar),
        ..config(None)
    })
    .await
    .unwrap();
    let port = engine.local_addrs()[0].addr.port();
    (engine, port)
}

fn quoted(challenge: &str, name: &str) -> String {
    let start = challenge.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    challenge[start..].split('"').next().unwrap().to_owned()
}

fn proof(
    algorithm: Algorithm,
    nonce: &str,
    user: &str,
    password: &str,
    count: u32,
    uri: &str,
) -> String {
    let hash = |text: String| match algorithm {
        Algorithm::Md5 => hex::encode(Md5::digest(text.as_bytes())),
        Algorithm::Sha256 => hex::encode(Sha256::digest(text.as_bytes())),
    };
    let word = if algorithm == Algorithm::Md5 {
        "MD5"
    } else {
        "SHA-256"
    };
    let secret = hash(format!("{user}:ringback:{password}"));
    let request = hash(format!("REGISTER:{uri}"));
    let response = hash(format!("{secret}:{nonce}:{count:08x}:cn:auth:{request}"));
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"ringback\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={word}, qop=auth, nc={count:08x}, cnonce=\"cn\"\r\n"
    )
}

async fn nonce(wire: &Wire, us: u16, number: u32) -> String {
    wire.send(us, &wire.request_as("REGISTER", us, number, "", "anna"))
        .await;
    let (challenge, _) = wire.expect("SIP/2.0 401").await;
    assert_eq!(challenge.matches("WWW-Authenticate").count(), 2);
    quoted(&challenge, "nonce")
}

#[tokio::test]
async fn a_phone_registers_is_rung_and_signs_off() {
    let (engine, us) = engine().await;
    let mut changes = engine.on_registration().unwrap();
    let wire = Wire::new().await;
    let nonce = nonce(&wire, us, 1).await;
    let uri = format!("sip:127.0.0.1:{us}");
    // The Contact is a lie, as behind a NAT: the phone is where its packets come from.
    let contact = "Contact: <sip:anna@10.1.2.3:5060>\r\nExpires: 600\r\n";
    let lines = proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", 1, &uri) + contact;
    wire.send(us, &wire.request_as("REGISTER", us, 2, &lines, "anna"))
        .await;
    let (answer, _) = wire.expect("SIP/2.0 200").await;
    assert_eq!(
        header(&answer, "Contact"),
        Some("<sip:anna@10.1.2.3:5060>;expires=600")
    );
    let change = changes.recv().await.unwrap();
    assert_eq!((change.user.as_str(), change.contacts), ("anna", 1));
    assert_eq!(engine.registered("anna")[0].source.port(), wire.port);
    // Replayed by somebody else under a new branch: the count was used already.
    let thief = Wire::new().await;
    thief
        .send(us, &thief.request_as("REGISTER", us, 3, &lines, "anna"))
        .await;
    let (refused, _) = thief.expect("SIP/2.0 401").await;
    assert!(refused.contains("stale=true"));
    // Rung over the way it opened.
    let target_anna = engine.contact_of("anna").unwrap();
    let customer = Phone::start(Manner::default()).await;
    let (asking, other) = (engine.clone(), target(customer.port));
    let running =
        tokio::spawn(async move { run(&asking, call("reg-1", target_anna, other)).await });
    let (invite, from) = wire.expect("INVITE sip:anna@10.1.2.3:5060 SIP/2.0").await;
    wire.send(from.port(), &reply(&invite, "486 Busy Here", "t", ""))
        .await;
    let (end, _) = running.await.unwrap();
    assert!(
        matches!(&end.kind, BridgeEndKind::FirstFailed(f) if f.code == Some(486)),
        "{:?}",
        end.kind
    );
    wire.expect("ACK").await;
    // The next count signs off; MD5 is as welcome.
    let lines =
        proof(Algorithm::Md5, &nonce, "anna", "pa\"ss", 2, &uri) + "Contact: *\r\nExpires: 0\r\n";
    wire.send(us, &wire.request_as("REGISTER", us, 4, &lines, "anna"))
        .await;
    wire.expect("SIP/2.0 200").await;
    assert!(engine.registered("anna").is_empty());
    assert!(engine.contact_of("anna").is_none());
}

#[tokio::test]
async fn the_wrong_ones_stay_outside() {
    let (engine, us) = engine().await;
    let wire = Wire::new().await;
    let nonce = nonce(&wire, us, 1).await;
    let uri = format!("sip:127.0.0.1:{us}");
    let contact = "Contact: <sip:anna@127.0.0.1:5060>\r\n";
    let mut number = 1;
    for (lines, code) in [
        (
            proof(Algorithm::Sha256, &nonce, "anna", "guess", 1, &uri),
            "401",
        ),
        (
            proof(Algorithm::Sha256, &nonce, "bertha", "", 2, &uri),
            "401",
        ),
        (
            proof(Algorithm::Sha256, "made-up", "anna", "pa\"ss", 3, &uri),
            "401",
        ),
        (
            proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", 4, "sip:other"),
            "401",
        ),
        (
            proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", 5, &uri) + "Expires: 5\r\n",
            "423",
        ),
        (
            proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", 6, &uri) + "Contact: *\r\n",
            "400",
        ),
        (
            proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", 7, &uri) + "Contact: <tel:+33>\r\n",
            "400",
        ),
    ] {
        number += 1;
        wire.send(
            us,
            &wire.request_as("REGISTER", us, number, &(lines + contact), "anna"),
        )
        .await;
        let (answer, _) = wire.expect("SIP/2.0").await;
        assert!(
            answer.starts_with(&format!("SIP/2.0 {code}")),
            "wanted {code}: {answer}"
        );
        assert!(engine.registered("anna").is_empty());
    }
    // A user may bind its own address of record only.
    let lines = proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", 8, &uri) + contact;
    wire.send(us, &wire.request_as("REGISTER", us, 50, &lines, "bertha"))
        .await;
    wire.expect("SIP/2.0 403").await;
}

#[tokio::test]
async fn old_contacts_make_room() {
    let (engine, us) = engine().await;
    let wire = Wire::new().await;
    let nonce = nonce(&wire, us, 1).await;
    let uri = format!("sip:127.0.0.1:{us}");
    for count in 1..=4 {
        let lines = proof(Algorithm::Sha256, &nonce, "anna", "pa\"ss", count, &uri)
            + &format!("Contact: <sip:anna@127.0.0.1:{}>\r\n", 6000 + count);
        wire.send(
            us,
            &wire.request_as("REGISTER", us, 1 + count, &lines, "anna"),
        )
        .await;
        wire.expect("SIP/2.0 200").await;
    }
    let contacts: Vec<String> = engine
        .registered("anna")
        .into_iter()
        .map(|r| r.contact)
        .collect();
    assert_eq!(
        contacts,
        ["sip:anna@127.0.0.1:6003", "sip:anna@127.0.0.1:6004"]
    );
}
