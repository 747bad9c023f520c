//! Kamailio in front: registrar and record-routing proxy with digest. Agent and customer are softphones behind
//! it, and Ringback reaches both through it.

use crate::harness::{
    Host, Network, Peer, Server, Setup, Telephone, copy_of, customer_number, dn_queue, eventually,
};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn both_phones_behind_a_record_routing_proxy() {
    let network = Network::new(3);
    let ours = network.address();
    let files = tempfile::tempdir().expect("a directory");
    let proxy_host = network.host(2).clone();
    let proxy = start_kamailio(&proxy_host, files.path());
    let proxy_address = proxy_host.address.clone();
    let account = |user: &str| {
        format!(
            "<sip:{user}@{proxy_address}:5060;transport=udp>;auth_user={user};auth_pass=phones-secret;regint=60"
        )
    };
    let agent = Telephone::start("agent", network.host(0), &account("1001"), files.path());
    let customer = Telephone::start(
        "customer",
        network.host(1),
        &account("customer"),
        files.path(),
    );
    for (phone, other) in [(&agent, &customer), (&customer, &agent)] {
        phone.host.count(&[
            (
                "heard_direct",
                "input",
                format!("ip saddr {} udp dport 10000-10100", other.host.address),
            ),
            (
                "sip_from_server",
                "input",
                format!("ip saddr {ours} udp dport 5060"),
            ),
            (
                "sip_to_server",
                "output",
                format!("ip daddr {ours} udp dport 5060"),
            ),
        ]);
        phone.says("200 OK", LIMIT).await;
    }
    let sip = format!("udp:{ours}:5060");
    let rest = format!(
        "[[routes]]\nkind = \"sip\"\nname = \"pbx\"\nuri = \"sip:{proxy_address}:5060\"\nping = \"1s\"\n\
             user = \"ringback\"\npassword = \"trunk-secret\"\nrealm = \"rig.example\"\nfrom = \"sip:ringback@{proxy_address}\"\n"
    );
    let server = Server::start_with(Setup {
        http: "127.0.0.1:0",
        sip: &sip,
        rest: &rest,
    })
    .await;

    let client = &server.client;
    let rules =
        json!({"delivery": {"kind": "dn", "dn": "1001", "location": "pbx", "max_concurrent": 2}});
    client
        .put_queue("desk", dn_queue("pbx", &["pbx"], rules))
        .await;
    let id = client
        .book(json!({
            "queue": "desk", "customer_number": customer_number(41), "desired_response_type": "Voice", "any_hour": true,
        }))
        .await;
    client
        .callback_when(&id, "the talk", LIMIT, |callback| {
            callback["state"] == "talking"
        })
        .await;
    eventually("media", LIMIT, || async {
        let heard = (
            agent.host.packets("heard_direct"),
            customer.host.packets("heard_direct"),
        );
        if heard.0 > 50 && heard.1 > 50 {
            Ok(())
        } else {
            Err(format!("{heard:?} packets heard"))
        }
    })
    .await;
    agent.hang_up();
    client.ended(&id, LIMIT).await;
    let attempts = client.attempts(&id).await;
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["verdict"], "reached", "{attempts:#?}");
    assert_eq!(attempts[0]["platform"]["text"], "hung up by the agent");
    assert_eq!(attempts[0]["route"], "pbx");

    // What the proxy saw: it admitted our credentials for both legs, and ACK and BYE of both went through it.
    let attempt = attempts[0]["attempt_id"].as_str().expect("an id");
    let log = proxy.log();
    assert!(log.matches("RIG admitted ringback").count() >= 2, "{log}");
    for leg in ["first", "second"] {
        for method in ["ACK", "BYE"] {
            let words = format!("RIG routed {method} of {attempt}.{leg}");
            assert!(
                log.contains(&words),
                "{words:?} is not in the proxy's log:\n{log}"
            );
        }
    }
    assert!(
        log.contains(&format!("RIG routed INVITE of {attempt}.first")),
        "the re-INVITE: {log}"
    );
    assert!(
        !log.contains("RIG stray"),
        "a request without its route came by:\n{log}"
    );
    assert!(
        log.contains(&format!("RIG OPTIONS from {ours}")),
        "the route was never pinged:\n{log}"
    );
    for phone in [&agent, &customer] {
        assert_eq!(
            phone.host.packets("sip_from_server"),
            0,
            "signalling went past the proxy"
        );
        assert_eq!(
            phone.host.packets("sip_to_server"),
            0,
            "signalling went past the proxy"
        );
    }
    server.assert_healthy();
}

fn start_kamailio(host: &Host, dir: &Path) -> Peer {
    let modules = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/kamailio/modules/"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("Kamailio's modules; script/test installs kamailio");
    let config = copy_of(
        "kamailio.cfg",
        dir,
        &[("@ADDRESS@", &host.address), ("@MODULES@", &modules)],
    );
    let run = dir.join("kamailio");
    std::fs::create_dir(&run).expect("a directory");
    let mut command = host.command("kamailio");
    // In the foreground (`-DD`), small, and with everything it writes in our directory.
    command
        .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
        .arg(&config)
        .arg("-Y")
        .arg(&run)
        .arg("-w")
        .arg(&run);
    Peer::start("Kamailio", &mut command, &dir.join("kamailio.log")).asked_first()
}
