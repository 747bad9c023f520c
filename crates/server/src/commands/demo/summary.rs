//! The account at the end: what was expected, what the record says, and what the witnesses saw.

use super::super::callbacks::client::Client;
use super::super::callbacks::words;
use super::Setback;
use super::plot::Scene;
use super::stage::Stage;
use super::telling::summary_mark;
use super::town::{self, Town};
use ringback_sim::mailbox::Letter;
use ringback_sim::witness::MediaRecord;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub struct Summary {
    rows: Vec<Row>,
    checks: Vec<Check>,
}

struct Row {
    who: &'static str,
    expected: String,
    happened: String,
    tries: String,
    good: bool,
}

/// One thing that two independent accounts must agree on.
struct Check {
    good: bool,
    sentence: String,
}

/// Reads the record over the API, asks every witness, and compares.
pub async fn gather(
    client: &Client,
    stage: &Stage,
    town: &Town,
    booked: &[(Scene, String)],
) -> Result<Summary, Setback> {
    let mut rows = Vec::new();
    let mut attempts: Vec<Value> = Vec::new();
    for (scene, id) in booked {
        let callback = client.get(&format!("v1/callbacks/{id}")).await?;
        let own = items(client.get(&format!("v1/callbacks/{id}/attempts")).await?);
        let events = items(client.get(&format!("v1/callbacks/{id}/events")).await?);
        rows.push(row(scene, &callback, &own, &events));
        attempts.extend(own);
    }
    let examination = stage.examine().await?;
    let calls: Vec<&Value> = attempts
        .iter()
        .filter(|attempt| attempt["channel"] == "sip")
        .collect();
    let mails: Vec<&Value> = attempts
        .iter()
        .filter(|attempt| attempt["channel"] == "smtp")
        .collect();
    let near = town.near_ends();
    let checks = vec![
        rung_once(
            "customers' telephones",
            &calls,
            &town::rings(&town.customers()),
        ),
        rung_once("agents' telephones", &calls, &town::rings(&near)),
        spoke_directly(&calls, &town::media(&town.customers()), &town::media(&near)),
        letters_arrived(&mails, &town.mailbox.letters()),
        Check {
            good: town
                .customers()
                .into_iter()
                .chain(near)
                .all(|witness| witness.open_calls() == 0),
            sentence: "no call was left ringing or talking at any telephone".to_owned(),
        },
        Check {
            good: examination.faults.is_empty() && examination.callbacks == booked.len() as u64,
            sentence: format!(
                "{} events of {} callbacks examined in {}: {} chains unbroken{}",
                examination.events,
                examination.callbacks,
                examination.backend,
                examination.chains_checked,
                examination
                    .faults
                    .iter()
                    .map(|fault| format!("; {fault}"))
                    .collect::<String>()
            ),
        },
    ];
    Ok(Summary { rows, checks })
}

impl Summary {
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.good) && self.checks.iter().all(|check| check.good)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = |row: &Row| {
            [
                row.who.to_owned(),
                row.expected.clone(),
                row.tries.clone(),
                row.happened.clone(),
            ]
        };
        let heading = ["who", "what was to happen", "tries", "what happened"].map(str::to_owned);
        let table: Vec<[String; 4]> = std::iter::once(heading)
            .chain(self.rows.iter().map(cells))
            .collect();
        let width = |column: usize| {
            table
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        let marks = std::iter::once(" ").chain(self.rows.iter().map(|row| summary_mark(row.good)));
        for (cells, mark) in table.iter().zip(marks) {
            let [who, expected, tries, happened] = cells;
            let [first, second, third] = widths;
            writeln!(
                f,
                "  {mark} {who:<first$}  {expected:<second$}  {tries:<third$}  {happened}"
            )?;
        }
        writeln!(f)?;
        for check in &self.checks {
            writeln!(f, "  {} {}", summary_mark(check.good), check.sentence)?;
        }
        Ok(())
    }
}

fn items(answer: Value) -> Vec<Value> {
    match answer {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove("items") {
            Some(Value::Array(items)) => items,
            Some(_) | None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn row(scene: &Scene, callback: &Value, attempts: &[Value], events: &[Value]) -> Row {
    let state = callback["state"].as_str().unwrap_or("unreadable");
    let seen: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    let missing: Vec<&str> = scene
        .must_see
        .iter()
        .copied()
        .filter(|kind| !seen.contains(kind))
        .collect();
    let tries = attempts.len() as u64;
    let (least, most) = scene.tries;
    let good = state == scene.ends && (least..=most).contains(&tries) && missing.is_empty();
    let verdicts: Vec<&str> = attempts
        .iter()
        .map(|attempt| words::verdict_words(attempt["verdict"].as_str().unwrap_or("still open")))
        .collect();
    let promise = callback["promise"]["state"].as_str().unwrap_or("?");
    let mut happened = format!("{} (promise {promise})", words::state_words(state));
    if !verdicts.is_empty() {
        happened = format!("{}: {happened}", verdicts.join(", "));
    }
    if !missing.is_empty() {
        happened.push_str(&format!("; never {}", missing.join(", never ")));
    }
    if state != scene.ends {
        happened.push_str(&format!(
            "; should have ended as {}",
            words::state_words(scene.ends)
        ));
    }
    Row {
        who: scene.who,
        expected: scene.plot.to_owned(),
        happened,
        tries: tries.to_string(),
        good,
    }
}

/// Every recorded call rang exactly once, and nothing rang that is not in the record.
fn rung_once(whose: &str, calls: &[&Value], rings: &BTreeMap<String, u32>) -> Check {
    let recorded: BTreeSet<&str> = calls
        .iter()
        .filter_map(|call| call["attempt_id"].as_str())
        .collect();
    let once = recorded
        .iter()
        .filter(|id| rings.get(**id) == Some(&1))
        .count();
    let counted: u32 = rings.values().sum();
    let good = !recorded.is_empty() && once == recorded.len() && counted as usize == recorded.len();
    Check {
        good,
        sentence: format!(
            "{counted} calls counted by the {whose}, {} in the record, {once} of them rang once",
            recorded.len()
        ),
    }
}

/// For every call that reached somebody: each telephone heard the other's own address, and nobody else's.
fn spoke_directly(calls: &[&Value], customers: &[MediaRecord], near: &[MediaRecord]) -> Check {
    let mut packets = 0;
    let mut direct = 0;
    let reached: Vec<&str> = calls
        .iter()
        .filter(|call| call["verdict"] == "reached")
        .filter_map(|call| call["attempt_id"].as_str())
        .collect();
    for id in &reached {
        let of = |records: &[MediaRecord]| {
            records
                .iter()
                .find(|record| record.attempt.as_deref() == Some(*id))
                .cloned()
        };
        let (Some(customer), Some(agent)) = (of(customers), of(near)) else {
            continue;
        };
        let heard = |record: &MediaRecord, other: &MediaRecord| {
            let from_other = record.received.get(&other.local).copied().unwrap_or(0);
            (from_other, record.received.len() == 1 && from_other > 0)
        };
        let (there, back) = (heard(&customer, &agent), heard(&agent, &customer));
        packets += there.0 + back.0;
        direct += usize::from(there.1 && back.1);
    }
    let good = !reached.is_empty() && direct == reached.len();
    let sentence = format!(
        "{packets} RTP packets passed from telephone to telephone directly, both ways, in {direct} of {} conversations",
        reached.len()
    );
    Check { good, sentence }
}

/// Every e-mail attempt is one letter in the box, under the attempt's own id.
fn letters_arrived(mails: &[&Value], letters: &[Letter]) -> Check {
    let ids: Vec<String> = letters
        .iter()
        .filter_map(|letter| letter.header("message-id"))
        .collect();
    let found = mails
        .iter()
        .filter_map(|mail| mail["attempt_id"].as_str())
        .filter(|id| ids.iter().filter(|message| message.contains(*id)).count() == 1)
        .count();
    let good = !mails.is_empty() && found == mails.len() && letters.len() == mails.len();
    Check {
        good,
        sentence: format!(
            "{} letters in the box, {} in the record, {found} found by their id",
            letters.len(),
            mails.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::SocketAddr;

    fn rings(counts: &[(&str, u32)]) -> BTreeMap<String, u32> {
        counts
            .iter()
            .map(|(id, count)| ((*id).to_owned(), *count))
            .collect()
    }

    #[test]
    fn a_double_ring_a_missing_and_a_foreign_one_are_noticed() {
        let (one, two) = (json!({ "attempt_id": "1" }), json!({ "attempt_id": "2" }));
        let calls = [&one, &two];
        for (counts, good) in [
            (&[("1", 1), ("2", 1)][..], true),
            (&[("1", 2), ("2", 1)][..], false),
            (&[("1", 1)][..], false),
            (&[("1", 1), ("2", 1), ("3", 1)][..], false),
        ] {
            assert_eq!(
                rung_once("x", &calls, &rings(counts)).good,
                good,
                "{counts:?}"
            );
        }
        assert!(
            !rung_once("x", &[], &rings(&[])).good,
            "nothing at all is no proof"
        );
    }

    #[test]
    fn sound_must_come_from_the_other_telephone() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let record = |local: u16, from: &[u16]| MediaRecord {
            line: "x".to_owned(),
            attempt: Some("1".to_owned()),
            local: address(local),
            sent: 9,
            received: from.iter().map(|port| (address(*port), 7)).collect(),
        };
        let call = json!({ "attempt_id": "1", "verdict": "reached" });
        for (customer, agent, good) in [
            (record(1, &[2]), record(2, &[1]), true),
            (record(1, &[2]), record(2, &[]), false),
            (record(1, &[3]), record(2, &[1]), false),
            (record(1, &[2, 3]), record(2, &[1]), false),
        ] {
            assert_eq!(spoke_directly(&[&call], &[customer], &[agent]).good, good);
        }
        assert!(!spoke_directly(&[&call], &[], &[]).good);
    }

    #[test]
    fn letters_are_found_by_their_attempt() {
        let mail = json!({ "attempt_id": "abc" });
        let letter = |id: &str| Letter {
            from: String::new(),
            to: vec!["a@b.example".to_owned()],
            data: format!("Message-ID: <{id}@demo.example>\r\n\r\nHello\r\n"),
        };
        assert!(letters_arrived(&[&mail], &[letter("abc")]).good);
        assert!(!letters_arrived(&[&mail], &[letter("other")]).good);
        assert!(!letters_arrived(&[&mail], &[letter("abc"), letter("abc")]).good);
        assert!(!letters_arrived(&[&mail], &[]).good);
    }

    #[test]
    fn an_ending_that_was_not_expected_is_no_success() {
        let scene = Scene {
            who: "Frieda",
            plot: "answers",
            booking: json!({}),
            ends: "done",
            tries: (1, 1),
            must_see: &["connected"],
            cancels: false,
            goes_first: false,
        };
        let (one, seen) = (
            json!({ "verdict": "reached" }),
            json!({ "kind": "connected" }),
        );
        let (done, expired) = (json!({ "state": "done" }), json!({ "state": "expired" }));
        for (callback, attempts, events, good) in [
            (&done, vec![one.clone()], vec![seen.clone()], true),
            (&expired, vec![one.clone()], vec![seen.clone()], false),
            (
                &done,
                vec![one.clone(), one.clone()],
                vec![seen.clone()],
                false,
            ),
            (&done, vec![], vec![seen.clone()], false),
            (&done, vec![one.clone()], vec![], false),
        ] {
            let row = row(&scene, callback, &attempts, &events);
            assert_eq!(row.good, good, "{}", row.happened);
        }
    }
}
