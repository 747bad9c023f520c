//! What is played: ten callbacks, each with the ending it must have.

use super::town::{self, Town};
use jiff::Timestamp;
use ringback_callbacks::wire_time;
use serde_json::{Value, json};
use std::time::Duration;

/// One callback of the play.
pub struct Scene {
    pub who: &'static str,
    /// What will happen, told beforehand.
    pub plot: &'static str,
    pub booking: Value,
    /// The inner state it must end in.
    pub ends: &'static str,
    /// Tries that must have been placed, at least and at most.
    pub tries: (u64, u64),
    /// Kinds of event that must have happened on the way.
    pub must_see: &'static [&'static str],
    /// The customer cancels right after booking.
    pub cancels: bool,
    /// Everything else waits until this one has ended.
    pub goes_first: bool,
}

/// Long enough for two tries of four seconds, and too short for a third.
const NORAS_WINDOW: Duration = Duration::from_secs(17);

pub fn scenes(town: &Town) -> Vec<Scene> {
    let scene = |who, plot, booking: Value, ends, tries, must_see| Scene {
        who,
        plot,
        booking,
        ends,
        tries,
        must_see,
        cancels: false,
        goes_first: false,
    };
    let later = |after| wire_time::write(wire_time::plus(Timestamp::now(), after));
    let voice = |number: &str, who: &str, more: Value| {
        let mut booking = json!({
            "queue": "billing", "desired_response_type": "Voice", "customer_number": number,
            "customer_name": who, "subject": "A question about my bill",
        });
        merge(&mut booking, more);
        booking
    };
    let letter = |queue: &str, who: &str, address: &str, more: Value| {
        let mut booking = json!({
            "queue": queue, "desired_response_type": "Email", "customer_number": address,
            "customer_name": who, "subject": "Where is my invoice?",
        });
        merge(&mut booking, more);
        booking
    };
    vec![
        Scene {
            // Dora is asked for by name; while she writes, nothing else may be put before her.
            goes_first: true,
            ..scene(
                "Wilma",
                "asks by e-mail; Dora writes the answer",
                letter(
                    "billing",
                    "Wilma",
                    "wilma@demo.example",
                    json!({ "owner_id": town::DORA }),
                ),
                "done",
                (1, 1),
                &["offered", "offer_accepted", "reply_written"],
            )
        },
        scene(
            "Frieda",
            "answers; the first trunk is broken, the second works",
            voice(town::FRIEDA, "Frieda", json!({})),
            "done",
            (1, 1),
            &["route_failed", "connected"],
        ),
        scene(
            "Declan",
            "asks for Dora, who declines; somebody else takes it",
            voice(town::DECLAN, "Declan", json!({ "owner_id": town::DORA })),
            "done",
            (1, 1),
            &["offered", "offer_declined", "connected"],
        ),
        scene(
            "Nora",
            "does not answer until her window ends",
            voice(
                town::NORA,
                "Nora",
                json!({ "end_time": later(NORAS_WINDOW) }),
            ),
            "expired",
            (1, 9),
            &["ringing", "retry_scheduled"],
        ),
        scene(
            "Bruno",
            "is busy, and answers the second try",
            voice(town::BRUNO, "Bruno", json!({})),
            "done",
            (2, 2),
            &["retry_scheduled", "connected"],
        ),
        scene(
            "Wanda",
            "left a number that does not exist",
            voice(town::WANDA, "Wanda", json!({})),
            "exhausted",
            (1, 1),
            &["attempt_ended"],
        ),
        scene(
            "Victor",
            "has a SIP address; called directly, without a trunk",
            json!({
                "queue": "billing", "desired_response_type": "VoIP", "customer_number": town.victor.uri(),
                "customer_name": "Victor", "subject": "Call me over the net",
            }),
            "done",
            (1, 1),
            &["connected"],
        ),
        scene(
            "Rita",
            "is called by the reception, an extension of a PBX",
            voice(
                town::RITA,
                "Rita",
                json!({ "queue": "reception", "subject": "An appointment" }),
            ),
            "done",
            (1, 1),
            &["connected"],
        ),
        scene(
            "Emil",
            "asks by e-mail; the queue's template answers",
            letter("reception", "Emil", "emil@demo.example", json!({})),
            "done",
            (1, 1),
            &["attempt_begun"],
        ),
        Scene {
            cancels: true,
            ..scene(
                "Cora",
                "books for tomorrow and cancels",
                voice(
                    town::CORA,
                    "Cora",
                    json!({ "start_time": later(Duration::from_secs(24 * 3600)) }),
                ),
                "cancelled",
                (0, 0),
                &["cancelled"],
            )
        },
    ]
}

/// A booking to be copied into a terminal.
pub fn own_booking() -> Value {
    json!({
        "queue": "billing", "desired_response_type": "Voice", "customer_number": town::FRIEDA,
        "customer_name": "You",
    })
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
