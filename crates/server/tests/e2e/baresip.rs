//! Two real softphones, each on a host of its own: the agent's registers with Ringback, the customer's stands
//! behind a route. They must hear each other without a packet of media passing through the server.

use crate::harness::{Network, Server, Setup, Telephone, customer_number, dn_queue};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Three seconds of talk are 150 packets each way; a busy machine may be slow to start them.
const ENOUGH: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn two_baresips_talk_directly() {
    let network = Network::new(2);
    let ours = network.address();
    let files = tempfile::tempdir().expect("a directory");
    let customer_host = network.host(1).clone();
    let sip = format!("udp:{ours}:5060");
    let rest = format!(
        "[sip.registrar]\nrealm = \"ringback\"\nalgorithms = [\"MD5\"]\n\
             users = [{{ name = \"1001\", password = \"agents-secret\" }}]\n\n\
             [[routes]]\nkind = \"sip\"\nname = \"town\"\nuri = \"sip:{}:5060\"\nping = \"0s\"\n",
        customer_host.address
    );
    let server = Server::start_with(Setup {
        http: "127.0.0.1:0",
        sip: &sip,
        rest: &rest,
    })
    .await;
    let account = format!(
        "<sip:1001@{ours}:5060;transport=udp>;auth_user=1001;auth_pass=agents-secret;regint=60"
    );
    let agent = Telephone::start("agent", network.host(0), &account, files.path());
    let number = customer_number(31);
    // baresip matches the user of the request URI against its accounts.
    let account = format!(
        "<sip:{number}@{}:5060;transport=udp>;regint=0",
        customer_host.address
    );
    let customer = Telephone::start("customer", &customer_host, &account, files.path());
    agent.count_media(&customer.host, &ours);
    customer.count_media(&agent.host, &ours);
    agent.says("200 OK", LIMIT).await;

    let client = &server.client;
    let rules = json!({"delivery": {"kind": "agents"}});
    client
        .put_queue("desk", dn_queue("", &["town"], rules))
        .await;
    client.put_agent(1, "1001", None, "desk", true).await;
    let id = client
        .book(json!({"queue": "desk", "customer_number": number, "desired_response_type": "Voice", "any_hour": true}))
        .await;
    client
        .callback_when(&id, "the talk", LIMIT, |callback| {
            callback["state"] == "talking"
        })
        .await;

    crate::harness::eventually("media both ways", LIMIT, || async {
        let heard = (
            agent.host.packets("heard_direct"),
            customer.host.packets("heard_direct"),
        );
        if heard.0 > 2 * ENOUGH && heard.1 > 2 * ENOUGH {
            Ok(())
        } else {
            Err(format!("{heard:?} packets heard"))
        }
    })
    .await;
    customer.hang_up();
    let ended = client.ended(&id, LIMIT).await;
    let attempts = client.attempts(&id).await;
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["verdict"], "reached", "{attempts:#?}");
    assert_eq!(attempts[0]["platform"]["text"], "hung up by the customer");
    assert_eq!(ended["call_result"], 0);

    for phone in [&agent, &customer] {
        let counted = [
            "heard_direct",
            "sent_direct",
            "heard_relayed",
            "sent_relayed",
        ]
        .map(|name| phone.host.packets(name));
        println!(
            "{}: heard {} and sent {} directly, {:?} by way of the server",
            phone.host.address,
            counted[0],
            counted[1],
            &counted[2..]
        );
        assert!(
            counted[0] > ENOUGH && counted[1] > ENOUGH,
            "media must flow between the phones: {counted:?}"
        );
        assert_eq!(
            &counted[2..],
            &[0, 0],
            "media must not pass through the server"
        );
        // And in the phone's own words.
        let other = if phone.host.address == agent.host.address {
            &customer
        } else {
            &agent
        };
        let words = format!("established, receiving from {}:", other.host.address);
        assert!(
            phone.log().contains(&words),
            "{} did not say {words:?}\n{}",
            phone.host.address,
            phone.log()
        );
    }
    server.assert_healthy();
}
