//! What happened, in plain words: the one place where events become sentences for a terminal.

use super::table::clean;
use ringback_callbacks::event::EventKind;
use ringback_callbacks::outcome::{CallResult, Verdict};
use serde_json::Value;

/// The kind an event names; `None` for a kind that a newer server knows and we do not.
pub fn kind(name: &str) -> Option<EventKind> {
    EventKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name)
}

/// An event of the API as one line: time of day, and what happened.
pub fn line(event: &Value) -> String {
    let at = event["at"].as_str().unwrap_or("");
    let clock = at.get(11..19).unwrap_or(at);
    let name = event["kind"].as_str().unwrap_or("");
    match kind(name) {
        Some(kind) => format!(
            "{clock}  {}",
            sentence_on(day_of(at), kind, &event["detail"])
        ),
        None => format!("{clock}  {}", clean(name)),
    }
}

/// What happened, as a sentence without its full stop. Moments are told by their time of day (UTC).
pub fn sentence(kind: EventKind, detail: &Value) -> String {
    sentence_on(None, kind, detail)
}

/// The same for an event of a certain day: moments of other days are told with their date.
fn sentence_on(day: Option<&str>, kind: EventKind, detail: &Value) -> String {
    let text = |name: &str| clean(detail[name].as_str().unwrap_or(""));
    let clock = |name: &str| moment(day, detail[name].as_str().unwrap_or(""));
    let agent = || {
        detail["agent"]
            .as_i64()
            .map_or("the agent".to_owned(), |id| format!("agent {id}"))
    };
    let by = || match text("by") {
        by if by.is_empty() => String::new(),
        by => format!(" by {by}"),
    };
    let fields = || {
        let fields = detail["fields"].as_array().into_iter().flatten();
        let fields: Vec<String> = fields
            .filter_map(|field| field.as_str().map(clean))
            .collect();
        fields.join(", ")
    };
    match kind {
        EventKind::Accepted => {
            format!(
                "booked for queue {}, promised between {} and {}",
                text("queue"),
                clock("promise_from"),
                clock("promise_to")
            )
        }
        EventKind::Held => {
            let until = clock("until");
            let until = if until.is_empty() {
                String::new()
            } else {
                format!(" until {until}")
            };
            format!("held back{until}: {}", guard_words(&text("guard")))
        }
        EventKind::Queued => format!("due, and waiting in queue {}", text("queue")),
        EventKind::Assigned => match text("to").as_str() {
            "dn" => "handed to the exchange's own queue".to_owned(),
            "template" => "taken up: the queue answers by itself".to_owned(),
            _ => format!("given to {}", agent()),
        },
        EventKind::Offered => format!("offered to {}", agent()),
        EventKind::OfferAccepted => format!("{} takes it", agent()),
        EventKind::OfferDeclined => format!("{} declines; it keeps its place", agent()),
        EventKind::OfferTimedOut => {
            format!("{} does not answer the offer and is set away", agent())
        }
        EventKind::AttemptBegun => {
            let how = match text("channel").as_str() {
                "smtp" => "sending a message to",
                _ => "calling",
            };
            format!("try {}: {how} {}", detail["number"], text("contact"))
        }
        EventKind::Ringing => format!("{} phone rings", party(&text("party"))),
        EventKind::Answered => match text("party").as_str() {
            "agent" => "the agent answers".to_owned(),
            _ => "the customer answers".to_owned(),
        },
        EventKind::RouteFailed => {
            let code = detail["code"]
                .as_i64()
                .map_or(String::new(), |code| format!("{code} "));
            format!("route {} fails ({code}{})", text("route"), text("text"))
        }
        EventKind::Connected => "connected: they can speak with each other".to_owned(),
        EventKind::AttemptEnded => attempt_ended(detail),
        EventKind::RetryScheduled => format!("next try at {}", clock("due")),
        EventKind::ContactChanged => {
            format!(
                "going on with contact {} ({})",
                detail["contact"],
                text("response_type")
            )
        }
        EventKind::WrapUp => format!("{} finishes the paperwork", agent()),
        EventKind::Disposed => match text("disposition") {
            said if said.is_empty() => format!("{} closes it", agent()),
            said => format!("{} closes it: {said}", agent()),
        },
        EventKind::ReplyWritten => format!("{} has written the answer", agent()),
        EventKind::WindowMoved => {
            format!(
                "new rules of local time: now {}",
                moment(day, detail["after"]["from"].as_str().unwrap_or(""))
            )
        }
        EventKind::Rescheduled => {
            format!(
                "moved to {}",
                moment(day, detail["after"]["from"].as_str().unwrap_or(""))
            )
        }
        EventKind::Snoozed => format!("put off until {}", clock("until")),
        EventKind::Transferred => match text("to").as_str() {
            "queue" => format!("passed on to queue {}", text("queue")),
            _ => format!("passed on to {}", agent()),
        },
        EventKind::Merged => match fields() {
            fields if fields.is_empty() => "asked for again, with nothing new".to_owned(),
            fields => format!("asked for again, which adds: {fields}"),
        },
        EventKind::Changed => format!("changed: {}", fields()),
        EventKind::BodyStored => format!("{} stored ({} bytes)", text("body"), detail["size"]),
        EventKind::CancelRequested => {
            format!("to be cancelled{}: the call under way is ended first", by())
        }
        EventKind::Cancelled => format!("cancelled{}", by()),
        EventKind::Done => "done: the customer was reached".to_owned(),
        EventKind::Exhausted => "given up: no tries are left".to_owned(),
        EventKind::Expired => "given up: the customer's window has ended".to_owned(),
        EventKind::Refused => format!("refused for good: {}", guard_words(&text("guard"))),
        EventKind::Failed => format!("failed: {}", text("fault")),
        EventKind::Replaced => "replaced by another callback".to_owned(),
        EventKind::Rescued => {
            "taken up again after the server stopped in the middle of it".to_owned()
        }
        EventKind::PromiseMoved => {
            let end = |name: &str| moment(day, detail["new"][name].as_str().unwrap_or(""));
            format!(
                "the customer is told: between {} and {}",
                end("from"),
                end("to")
            )
        }
        EventKind::ApologyDue => {
            "the customer was not called as promised, and is offered new times".to_owned()
        }
        EventKind::PromiseAtRisk => "the promise is not expected to be kept".to_owned(),
        EventKind::PromiseSafe => "the promise is expected to be kept again".to_owned(),
        EventKind::PromiseKept => "the promise is kept".to_owned(),
        EventKind::PromiseLate => "the promise is kept, but late".to_owned(),
        EventKind::PromiseBroken => "the promise is broken".to_owned(),
        EventKind::Recorded => "recorded".to_owned(),
    }
}

/// What one waits for after an event.
pub fn awaited(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Accepted
        | EventKind::Held
        | EventKind::RetryScheduled
        | EventKind::Snoozed
        | EventKind::WindowMoved
        | EventKind::Rescheduled => "waiting for its time",
        EventKind::Queued
        | EventKind::OfferDeclined
        | EventKind::OfferTimedOut
        | EventKind::Transferred
        | EventKind::Rescued => "waiting for an agent or a free line",
        EventKind::Offered => "waiting for the agent to take it",
        EventKind::Assigned | EventKind::OfferAccepted => "about to call",
        EventKind::AttemptBegun | EventKind::RouteFailed => "calling",
        EventKind::Ringing => "ringing",
        EventKind::Answered => "connecting the two",
        EventKind::Connected => "in the call",
        EventKind::AttemptEnded => "the try is over",
        EventKind::ContactChanged => "going on with the next contact",
        EventKind::WrapUp => "the agent is wrapping up",
        EventKind::ReplyWritten => "the answer goes out",
        EventKind::CancelRequested => "ending the call",
        EventKind::Disposed
        | EventKind::Merged
        | EventKind::Changed
        | EventKind::BodyStored
        | EventKind::Recorded
        | EventKind::PromiseMoved
        | EventKind::PromiseAtRisk
        | EventKind::PromiseSafe
        | EventKind::PromiseKept
        | EventKind::PromiseLate
        | EventKind::PromiseBroken => "waiting for what comes next",
        EventKind::Cancelled
        | EventKind::Done
        | EventKind::Exhausted
        | EventKind::Expired
        | EventKind::Refused
        | EventKind::Failed
        | EventKind::ApologyDue
        | EventKind::Replaced => "ended",
    }
}

/// Whether the callback is over.
pub fn is_end(kind: EventKind) -> bool {
    match kind {
        EventKind::Cancelled
        | EventKind::Done
        | EventKind::Exhausted
        | EventKind::Expired
        | EventKind::Refused
        | EventKind::Failed
        | EventKind::Replaced => true,
        EventKind::Accepted
        | EventKind::Held
        | EventKind::Queued
        | EventKind::Assigned
        | EventKind::Offered
        | EventKind::OfferAccepted
        | EventKind::OfferDeclined
        | EventKind::OfferTimedOut
        | EventKind::AttemptBegun
        | EventKind::Ringing
        | EventKind::Answered
        | EventKind::RouteFailed
        | EventKind::Connected
        | EventKind::AttemptEnded
        | EventKind::RetryScheduled
        | EventKind::ContactChanged
        | EventKind::WrapUp
        | EventKind::Disposed
        | EventKind::ReplyWritten
        | EventKind::Rescheduled
        | EventKind::WindowMoved
        | EventKind::Snoozed
        | EventKind::Transferred
        | EventKind::Merged
        | EventKind::Changed
        | EventKind::BodyStored
        | EventKind::CancelRequested
        | EventKind::Rescued
        | EventKind::PromiseMoved
        | EventKind::ApologyDue
        | EventKind::PromiseAtRisk
        | EventKind::PromiseSafe
        | EventKind::PromiseKept
        | EventKind::PromiseLate
        | EventKind::PromiseBroken
        | EventKind::Recorded => false,
    }
}

/// Whether a `call_result` says that the customer was reached.
pub fn is_reached(result: Option<i64>) -> bool {
    let result = result.and_then(|number| i32::try_from(number).ok());
    result.is_some_and(|number| CallResult(number).verdict() == Verdict::Reached)
}

/// The last line about a callback.
pub fn ending(callback: &Value, reached: bool) -> String {
    let tries = match callback["attempts"].as_u64() {
        Some(1) => "1 try".to_owned(),
        Some(tries) => format!("{tries} tries"),
        None => "an unknown number of tries".to_owned(),
    };
    let promise = clean(callback["promise"]["state"].as_str().unwrap_or(""));
    if reached {
        return format!("Reached after {tries}; promise {promise}.");
    }
    let why = match callback["stopped_reason"].as_str() {
        Some(reason) => format!(" ({})", clean(reason)),
        None => String::new(),
    };
    let state = state_words(callback["state"].as_str().unwrap_or(""));
    format!("Not reached: {state}{why} after {tries}; promise {promise}.")
}

/// A state of the API in words.
pub fn state_words(state: &str) -> &str {
    match state {
        "wrap_up" => "wrapping up",
        "dialling" => "being called",
        "talking" => "in a call",
        "transferred" => "passed on",
        "exhausted" => "given up",
        other => other,
    }
}

/// A verdict of the API in words.
pub fn verdict_words(verdict: &str) -> &str {
    match verdict {
        "no_answer" => "no answer",
        "route_fault" => "route failed",
        "agent_fault" => "agent not reached",
        "do_not_call" => "wants no calls",
        "invalid" => "wrong number",
        other => other,
    }
}

/// `83000` as `1:23`.
pub fn talk(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn attempt_ended(detail: &Value) -> String {
    let verdict = verdict_words(detail["verdict"].as_str().unwrap_or(""));
    let platform = &detail["platform"];
    let code = platform["code"]
        .as_i64()
        .map_or(String::new(), |code| format!("{code} "));
    let said = clean(&format!(
        "{code}{}",
        platform["text"].as_str().unwrap_or("")
    ));
    let said = if said.trim().is_empty() {
        String::new()
    } else {
        format!(" ({})", said.trim())
    };
    let talked = detail["talk_ms"].as_u64().map_or(String::new(), |ms| {
        format!(", they talked for {}", talk(ms))
    });
    let counted = if detail["counted"].as_bool() == Some(false) {
        "; it does not count as a try"
    } else {
        ""
    };
    format!(
        "try {} is over: {}{said}{talked}{counted}",
        detail["number"],
        clean(verdict)
    )
}

fn party(name: &str) -> &'static str {
    match name {
        "agent" => "the agent's",
        _ => "the customer's",
    }
}

fn guard_words(name: &str) -> String {
    let words = match name {
        "closed" => "the queue is closed",
        "holiday" => "the queue is closed for a holiday",
        "customers_night" => "it is no time to ring where the customer is",
        "do_not_call" => "the customer asked not to be called",
        "number_daily_limit" => "the number was called as often as a day allows",
        "number_in_call" => "another call with this number is going on",
        "route" => "every route is down or busy",
        "no_agent" => "no agent is free",
        "too_late" => "no allowed moment is left",
        "paused" => "dialling is paused",
        "not_diallable" => "the queue does not call this kind of number",
        "rules_unreadable" => "the queue's rules cannot be read",
        "queue_removed" => "the queue is gone",
        "not_yet" => "its time has not come",
        other => return clean(other),
    };
    words.to_owned()
}

/// `14:05:00`, with its date in front where that is not the day spoken of.
fn moment(day: Option<&str>, at: &str) -> String {
    match (at.get(11..19), day_of(at)) {
        (Some(clock), Some(date)) if day.is_some_and(|day| day != date) => {
            format!("{date} {clock}")
        }
        (Some(clock), _) => clock.to_owned(),
        (None, _) => clean(at),
    }
}

fn day_of(at: &str) -> Option<&str> {
    at.get(..10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_callbacks::guard::Guard;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_words_of_its_own() {
        let detail = json!({});
        let sentences: BTreeSet<String> = EventKind::ALL
            .iter()
            .map(|kind| sentence(*kind, &detail))
            .collect();
        assert_eq!(sentences.len(), EventKind::ALL.len());
        for kind in EventKind::ALL {
            assert_eq!(super::kind(kind.name()), Some(*kind));
            assert!(!awaited(*kind).is_empty());
        }
        assert_eq!(kind("from_the_future"), None);
    }

    #[test]
    fn every_guard_has_words() {
        let guards = [
            Guard::Closed,
            Guard::Holiday,
            Guard::CustomersNight,
            Guard::DoNotCall,
            Guard::NumberDailyLimit,
            Guard::NumberInCall,
            Guard::Route,
            Guard::NoAgent,
            Guard::TooLate,
            Guard::Paused,
            Guard::NotDiallable,
            Guard::RulesUnreadable,
            Guard::QueueRemoved,
            Guard::NotYet,
        ];
        for guard in guards {
            assert_ne!(guard_words(guard.name()), guard.name(), "{guard:?}");
        }
    }

    #[test]
    fn lines_read_as_sentences() {
        let table = [
            (
                json!({ "at": "2026-03-09T14:05:09.120Z", "kind": "attempt_begun",
                        "detail": { "number": 2, "channel": "sip", "contact": "•••18" } }),
                "14:05:09  try 2: calling •••18",
            ),
            (
                json!({ "at": "2026-03-09T14:05:10.000Z", "kind": "attempt_ended", "detail": { "number": 2,
                        "verdict": "busy", "counted": true, "platform": { "scheme": "sip", "code": 486, "text": "Busy Here" } } }),
                "14:05:10  try 2 is over: busy (486 Busy Here)",
            ),
            (
                json!({ "at": "2026-03-09T14:05:10.000Z", "kind": "attempt_ended", "detail": { "number": 1,
                        "verdict": "reached", "counted": true, "talk_ms": 83_000, "platform": {} } }),
                "14:05:10  try 1 is over: reached, they talked for 1:23",
            ),
            (
                json!({ "at": "2026-03-09T14:05:10.000Z", "kind": "route_failed",
                        "detail": { "route": "trunk-a", "code": 503, "text": "Service\u{1b}[31m Unavailable" } }),
                "14:05:10  route trunk-a fails (503 Service [31m Unavailable)",
            ),
            (
                json!({ "at": "2026-03-09T14:05:10.000Z", "kind": "held",
                        "detail": { "guard": "closed", "until": "2026-03-10T08:00:00.000Z" } }),
                "14:05:10  held back until 2026-03-10 08:00:00: the queue is closed",
            ),
            (
                json!({ "at": "x", "kind": "from_the_future", "detail": {} }),
                "x  from_the_future",
            ),
        ];
        for (event, expected) in table {
            assert_eq!(line(&event), expected);
        }
    }

    #[test]
    fn endings_say_what_came_of_it() {
        let done = json!({ "state": "done", "attempts": 1, "promise": { "state": "kept" } });
        assert_eq!(ending(&done, true), "Reached after 1 try; promise kept.");
        let gone = json!({ "state": "expired", "attempts": 3, "stopped_reason": "end_time passed", "promise": { "state": "kept" } });
        assert_eq!(
            ending(&gone, false),
            "Not reached: expired (end_time passed) after 3 tries; promise kept."
        );
        assert!(
            is_reached(Some(0))
                && is_reached(Some(33))
                && !is_reached(Some(6))
                && !is_reached(None)
        );
    }
}
