//! SIPp as the agent's phone and as the customer's trunk, through the whole server: booked over HTTP, seen
//! by SIPp, judged by both. SIPp's own exit status says whether it saw every message it expected, in order.

mod stage;

use crate::harness::{customer_number, dn_queue};
use serde_json::{Value, json};
use stage::{Call, LIMIT, Part};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn agent_hangs_up_after_a_talk() {
    let mut call = Call::set_up(
        &[
            Part::agent("agent_hangs_up"),
            Part::trunk("one", "customer"),
        ],
        json!({}),
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    let attempt = call.only_attempt().await;
    expect(&ended, &attempt, 0, "reached", true);
    assert!(
        attempt["talk_ms"].as_u64().is_some_and(|ms| ms >= 300),
        "{attempt}"
    );
    assert_eq!(attempt["platform"]["text"], "hung up by the agent");
    assert_eq!(attempt["route"], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_hangs_up_after_a_talk() {
    let mut call = Call::set_up(
        &[
            Part::agent("agent"),
            Part::trunk("one", "customer_hangs_up"),
        ],
        json!({}),
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    let attempt = call.only_attempt().await;
    expect(&ended, &attempt, 0, "reached", true);
    assert_eq!(attempt["platform"]["text"], "hung up by the customer");
    assert_eq!(
        (ended["status"].clone(), ended["callback_status"].clone()),
        (json!(3), json!(9))
    );
    // The resource says where the agent was and which route carried it.
    assert_eq!(ended["attempts"], 1);
    // The attempt's id travelled outwards, to both.
    let id = attempt["attempt_id"].as_str().expect("an id");
    for part in &call.parts {
        assert!(
            part.messages()
                .contains(&format!("X-Ringback-Attempt: {id}")),
            "{}",
            part.name
        );
    }
    call.server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_first_rings_the_customer_before_the_desk() {
    let rules = json!({"leg_order": "customer_first"});
    let mut call = Call::set_up(
        &[
            Part::trunk("one", "customer_first"),
            Part::agent("agent_second"),
        ],
        rules,
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    expect(&ended, &call.only_attempt().await, 0, "reached", true);
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_customer_is_tried_again_and_reached() {
    let parts = [
        Part::agent("agent").calls(2),
        Part::trunk("one", "customer_busy_then_answers").calls(2),
    ];
    let mut call = Call::set_up(&parts, json!({})).await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    let attempts = call.attempts().await;
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    assert_eq!(
        (
            attempts[0]["call_result"].clone(),
            attempts[0]["verdict"].clone()
        ),
        (json!(6), json!("busy"))
    );
    assert_eq!(attempts[0]["platform"]["code"], 486);
    assert_eq!(
        (attempts[0]["number"].clone(), attempts[1]["number"].clone()),
        (json!(1), json!(2))
    );
    expect(&ended, &attempts[1], 0, "reached", true);
    assert_eq!(ended["attempts"], 2);
    assert_ne!(attempts[0]["attempt_id"], attempts[1]["attempt_id"]);
    // The second INVITE is a new call with its own Call-ID, not the first one again.
    assert_eq!(call_ids(&call.parts[1].messages()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_customer_counts_as_no_answer() {
    refused(480, "Temporarily Unavailable", 7, "no_answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_number_is_invalid_and_not_tried_again() {
    refused(404, "Not Found", 11, "invalid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_call_is_not_tried_again() {
    refused(603, "Decline", 5, "declined").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_route_passes_to_the_next_within_the_same_attempt() {
    let parts = [
        Part::agent("agent"),
        Part::trunk("one", "customer_refuses").answering(503, "Service Unavailable"),
        Part::trunk("two", "customer_hangs_up"),
    ];
    let mut call = Call::set_up(&parts, json!({})).await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    // One attempt, one agent's ring, two routes: the first one's fault is not the customer's try.
    let attempt = call.only_attempt().await;
    expect(&ended, &attempt, 0, "reached", true);
    assert_eq!(attempt["route"], "two");
    assert_eq!(ended["attempts"], 1);
    let told = call.client().events(&call.id).await;
    assert!(
        told.iter()
            .any(|event| event.to_string().contains("route_failed")),
        "{told:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_cancelled() {
    let rules = json!({"ring_customer": "3s"});
    let mut call = Call::set_up(
        &[
            Part::agent("agent"),
            Part::trunk("one", "customer_cancelled"),
        ],
        rules,
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    expect(&ended, &call.only_attempt().await, 7, "no_answer", true);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_crosses_the_cancel_is_hung_up_at_once() {
    let rules = json!({"ring_customer": "3s"});
    let mut call = Call::set_up(
        &[
            Part::agent("agent"),
            Part::trunk("one", "customer_late_answer"),
        ],
        rules,
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    expect(&ended, &call.only_attempt().await, 7, "no_answer", true);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_challenges_and_is_given_the_right_digest() {
    let call = challenged("customer_challenges").await;
    let seen = call.parts[1].messages();
    let credentials = seen
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: "))
        .expect("credentials");
    assert_right_digest(credentials, "trunk-user", "trunk-secret", "INVITE");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_challenges_and_is_given_the_right_digest() {
    let call = challenged("customer_challenges_as_server").await;
    assert!(call.parts[1].messages().contains("\nAuthorization: Digest"));
}

async fn challenged(scenario: &'static str) -> Call {
    let mut call = Call::set_up(
        &[Part::agent("agent"), Part::trunk("one", scenario)],
        json!({}),
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    expect(&ended, &call.only_attempt().await, 0, "reached", true);
    assert!(!call.parts[1].messages().contains("trunk-secret"));
    // The agent's side never challenged: it is told nothing of the trunk's credentials.
    assert!(!call.parts[0].messages().contains("Authorization"));
    assert!(!call.server.log().contains("trunk-secret"));
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn early_media_before_the_answer() {
    let mut call = Call::set_up(
        &[
            Part::agent("agent"),
            Part::trunk("one", "customer_early_media"),
        ],
        json!({}),
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    expect(&ended, &call.only_attempt().await, 0, "reached", true);
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_on_hold_reaches_the_agent() {
    let mut call = Call::set_up(
        &[
            Part::agent("agent"),
            Part::trunk("one", "customer_reinvites"),
        ],
        json!({}),
    )
    .await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    expect(&ended, &call.only_attempt().await, 0, "reached", true);
    // The customer's `sendonly` arrived at the agent's phone.
    let seen = call.parts[0].messages();
    assert!(
        seen.contains("a=sendonly"),
        "the hold did not reach the agent: {seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_trunk_is_a_route_fault_and_nobody_elses_problem() {
    // Bound, so that nothing is refused; never read, so that nothing is answered.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = silent.local_addr().expect("an address").port();
    let parts = [
        Part::agent("agent"),
        Part::trunk("two", "customer_hangs_up"),
    ];
    let dead = format!(
        "[[routes]]\nkind = \"sip\"\nname = \"dead\"\nuri = \"sip:127.0.0.1:{port}\"\nping = \"0s\"\n"
    );
    let parts = [parts[0].clone().calls(2), parts[1].clone()];
    let mut call = Call::set_up_with(&parts, json!({}), &dead).await;
    // The queue `void` has the silent route only; a ring time longer than SIP's own 32 s lets those speak.
    let void = dn_queue(
        "desk-pbx",
        &["dead"],
        json!({
            "ring_customer": "45s", "retry": {"route_fault": {"after": "1s", "times": 0}}
        }),
    );
    call.client().put_queue("void", void).await;
    let doomed = call.client().book(json!({
        "queue": "void", "customer_number": customer_number(77), "desired_response_type": "Voice", "any_hour": true,
    })).await;
    call.client()
        .callback_when(&doomed, "the call to nowhere", LIMIT, |callback| {
            callback["state"] == "dialling"
        })
        .await;
    // Another call is placed and held meanwhile.
    let ended = call.book_and_wait().await;
    let attempt = call.only_attempt().await;
    expect(&ended, &attempt, 0, "reached", true);
    assert_eq!(
        call.client().callback(&doomed).await["state"],
        "dialling",
        "the silent call should still hang"
    );
    let nowhere = call.client().ended(&doomed, LIMIT).await;
    call.everybody_saw_what_they_expected();
    let attempts = call.client().attempts(&doomed).await;
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    expect(&nowhere, &attempts[0], 36, "route_fault", false);
    assert_eq!(
        nowhere["attempts"], 0,
        "a silent trunk is not the customer's try"
    );
}

async fn refused(code: u16, reason: &str, result: i32, verdict: &str) {
    let parts = [
        Part::agent("agent"),
        Part::trunk("one", "customer_refuses").answering(code, reason),
    ];
    let mut call = Call::set_up(&parts, json!({})).await;
    let ended = call.book_and_wait().await;
    call.everybody_saw_what_they_expected();
    let attempt = call.only_attempt().await;
    expect(&ended, &attempt, result, verdict, true);
    assert_eq!(attempt["platform"]["scheme"], "sip");
    assert_eq!(attempt["platform"]["code"], code);
}

fn expect(ended: &Value, attempt: &Value, result: i32, verdict: &str, counted: bool) {
    assert_eq!(attempt["call_result"], result, "{attempt:#}");
    assert_eq!(attempt["verdict"], verdict, "{attempt:#}");
    assert_eq!(attempt["counted"], counted, "{attempt:#}");
    assert_eq!(ended["call_result"], result, "{ended:#}");
    assert_eq!(ended["status"], 3, "{ended:#}");
}

/// Computes the digest with Python's own MD5: nothing of ours judges it.
fn assert_right_digest(credentials: &str, user: &str, password: &str, method: &str) {
    let script = "import hashlib, re, sys\n\
                  credentials, user, password, method = sys.argv[1:]\n\
                  d = dict(re.findall(r'(\\w+)=\"?([^\",\\s]+)\"?', credentials))\n\
                  md5 = lambda text: hashlib.md5(text.encode()).hexdigest()\n\
                  ha1, ha2 = md5(f'{user}:{d[\"realm\"]}:{password}'), md5(f'{method}:{d[\"uri\"]}')\n\
                  right = md5(':'.join([ha1, d['nonce'], d['nc'], d['cnonce'], d['qop'], ha2]))\n\
                  sys.exit(0 if d['username'] == user and d['response'] == right else 1)\n";
    let judged = Command::new("python3")
        .args(["-c", script, credentials, user, password, method])
        .output();
    let judged = judged.expect("python3; script/test installs it");
    let complaint = String::from_utf8_lossy(&judged.stderr);
    assert!(
        judged.status.success(),
        "not the right digest: {credentials} {complaint}"
    );
}

/// The different Call-IDs in a message log.
fn call_ids(messages: &str) -> std::collections::BTreeSet<String> {
    messages
        .lines()
        .filter_map(|line| line.strip_prefix("Call-ID:"))
        .map(|id| id.trim().to_owned())
        .collect()
}
