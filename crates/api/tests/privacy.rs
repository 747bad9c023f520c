//! Marker people, planted everywhere: none of them is found in an error or a log. A program of its own,
//! because it listens to everything that the whole process logs.

#[path = "api/house.rs"]
#[allow(dead_code, reason = "the other program uses the rest")]
mod house;

use house::{House, booking, id_of};
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

const MARKS: [&str; 5] = [
    "4155550199",
    "415-555-0199",
    "marker.person",
    "Marker Person",
    "marker-secret",
];

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Page {
    type Writer = Page;

    fn make_writer(&'a self) -> Page {
        self.clone()
    }
}

fn unmarked(what: &str, text: &str) {
    for mark in MARKS {
        assert!(!text.contains(mark), "{mark} in {what}: {text}");
    }
}

#[tokio::test]
async fn nobody_is_named_in_errors_and_logs() {
    let page = Page::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(page.clone())
        .with_max_level(tracing::Level::TRACE)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    drive().await;
    let log = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("request answered") && log.contains("access refused"),
        "{log}"
    );
    unmarked("the log", &log);
}

async fn drive() {
    let house = House::new().await;
    let good = json!({ "customer_number": "+14155550199", "customer_name": "Marker Person", "subject": "marker-secret",
                       "contacts": [{ "desired_response_type": "Email", "customer_number": "marker.person@example.com" }] });
    let callback = house.book(good.clone()).await;
    let id = id_of(&callback);
    let path = format!("/v1/callbacks/{id}");
    house.get(&path).send().await.ok();
    house
        .get("/v1/callbacks?number=%2B14155550199&text=marker-secret")
        .send()
        .await
        .ok();
    house
        .get("/v1/customers?text=Marker%20Person")
        .send()
        .await
        .ok();
    house
        .post(&format!("{path}/cancel"))
        .json(&json!({ "reason": "marker-secret" }))
        .send()
        .await
        .ok();

    let bad = [
        house.post("/v1/callbacks").json(&booking(json!({ "customer_number": "415-555-0199 ext 5" }))),
        house.post("/v1/callbacks").json(&booking(json!({ "customer_number": "+4155550199", "priority": "marker-secret" }))),
        house.post("/v1/callbacks").json(&booking(json!({ "desired_response_type": "Email", "customer_number": "marker.person@" }))),
        house.post("/v1/callbacks").json(&booking(json!({ "desired_response_type": "VoIP", "customer_number": "sip:marker.person:marker-secret@10.0.0.1" }))),
        house.post("/v1/callbacks").json(&booking(json!({ "start_time": "4155550199", "udata": "marker-secret" }))),
        house.post("/v1/callbacks").body("application/json", "{\"customer_number\": \"+14155550199\",}"),
        house.patch(&path).json(&json!({ "customer_number": "4155550199", "time_zone": "Marker Person" })),
        house.get("/v1/callbacks?number=marker.person&owner_id=4155550199x&status=marker-secret"),
        house.get("/v1/callbacks/4155550199"),
        house.get("/v1/customers/marker.person"),
        house.get("/nowhere/4155550199?x=marker-secret"),
        house.put("/v1/queues/q").json(&json!({ "name": 5, "caller_id": ["+14155550199"], "hours": "marker-secret" })),
        house.put("/v1/queues/q").json(&house::rules(json!({ "leg_order": "marker-secret" }))),
        house.put("/v1/queues/q").json(&house::rules(json!({ "offer": "marker-secret", "ring_agent": "4155550199" }))),
        house.put("/v1/agents/5").json(&json!({ "name": "Marker Person", "dn": "sip:marker.person @example.com" })),
        house.post(&format!("{path}/cancel")).json(&json!({ "by": "Marker Person", "reason": "marker-secret" })),
        house.post(&format!("{path}/cancel")).json(&json!({ "reason": "marker-secret" })),
        house.get("/v1/callbacks").header("if-match", "marker-secret").key("rbk_marker-secret"),
        house.get("/v1/events").header("accept", "text/event-stream").header("last-event-id", "marker-secret"),
        house.post("/v1/callbacks").header("idempotency-key", "marker-secret").json(&booking(json!({ "priority": -1 }))),
    ];
    for (index, ask) in bad.into_iter().enumerate() {
        let answer = ask.send().await;
        assert!(
            answer.status.is_client_error(),
            "{index}: {}",
            answer.status
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
        unmarked(&format!("answer {index}"), &answer.text());
    }
    unmarked("the metrics", &house.get("/metrics").send().await.text());
}
