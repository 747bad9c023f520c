//! What is said, what is answered, and what cannot be understood.

use super::*;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::planned::PlannedServer;

const HEADER: &str = r#"{"ev":"header","header":{"type":"header","name":"a day","seed":1,"t1":1781654400,"tz":"Europe/Berlin","date":"2026-06-16","open":[[1781589600,1781632800]],"agents_plan":[[1781589600,3]],"inbound_forecast":[[1781589600,6.0]],"inbound_aht":240,"callback_talk":240,"callback_wrap":30,"ring":{"answer":14,"busy":5,"no_answer":30,"machine":15,"invalid":5,"failed":4},"reach_prior":{"fresh":[0.85,0.05,0.04,0.06],"inside":[0.72,0.1,0.05,0.13],"outside":[0.5,0.08,0.07,0.35]},"legal_local":["08:00","21:00"],"asap_patience":3600,"max_attempts":4,"min_gap":120,"attention":1800,"notice":60,"sl_target":0.8,"sl_seconds":20,"abandon_target":0.05}}"#;
const AGENTS: &str = r#"{"ev":"agents","t":1781589600,"n":3}"#;
const REQUEST: &str = r#"{"ev":"request","t":1781593200,"request":{"type":"request","id":"r1","at":1781593200,"number":"+49301","channel":"web","kind":"asap","tz":"Europe/Berlin","local_start":null,"local_end":null}}"#;
const DISPATCH: &str =
    r#"{"ev":"dispatch","t":1781593200,"idle":3,"n":3,"queue":0,"oldest_inbound_at":null}"#;
const END: &str = r#"{"ev":"end"}"#;

fn said(lines: &[&str]) -> (Result<(), Breakdown>, Vec<String>) {
    let mut server = PlannedServer::new(Tuning::default());
    let mut output = Vec::new();
    let input = lines.join("\n");
    let done = converse(input.as_bytes(), &mut output, &mut server);
    let answers = String::from_utf8(output).unwrap();
    (done, answers.lines().map(str::to_owned).collect())
}

#[test]
fn only_requests_and_dispatches_are_answered() {
    let (done, answers) = said(&[HEADER, "", AGENTS, REQUEST, DISPATCH, END]);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(answers.len(), 2, "{answers:?}");
    let booked: serde_json::Value = serde_json::from_str(&answers[0]).unwrap();
    assert_eq!(booked["status"], "accepted", "{booked}");
    assert!(booked["start"].as_i64().unwrap() >= 1_781_593_200);
    assert!(booked["end"].as_i64() > booked["start"].as_i64());
    // Three agents are idle and nobody else waits: it is dialled at once.
    let dispatch: serde_json::Value = serde_json::from_str(&answers[1]).unwrap();
    assert_eq!(dispatch["dial"], serde_json::json!(["r1"]));
    assert!(dispatch["move"].as_array().unwrap().is_empty());
}

#[test]
fn what_cannot_be_understood_is_told_with_line_and_field() {
    let bent = |line: &str, from: &str, to: &str| {
        assert!(line.contains(from), "{from}");
        line.replace(from, to)
    };
    let table: Vec<(Vec<String>, &str)> = vec![
        (vec!["{".into()], "line 1: ev: EOF while parsing"),
        (vec!["{}".into()], "line 1: ev: missing field `ev`"),
        (
            vec![REQUEST.into()],
            "line 1: ev: \"request\" comes before the header",
        ),
        (
            vec![HEADER.into(), HEADER.into()],
            "line 2: header: there has been one already",
        ),
        (
            vec![HEADER.into(), r#"{"ev":"lunch","t":1}"#.into()],
            "line 2: ev: \"lunch\" is not known",
        ),
        (
            vec![bent(HEADER, "\"08:00\"", "\"8 o'clock\"")],
            "line 1: legal_local: \"8 o'clock\"",
        ),
        (
            vec![bent(
                HEADER,
                "\"callback_talk\":240",
                "\"callback_talk\":\"long\"",
            )],
            "line 1: header.callback_talk: invalid type: string",
        ),
        (
            vec![bent(
                HEADER,
                "\"callback_talk\":240",
                "\"callback_talk\":-1",
            )],
            "line 1: header.callback_talk: must be",
        ),
        (
            vec![bent(HEADER, "[[1781589600,1781632800]]", "[]")],
            "line 1: header.open: the centre is never open",
        ),
        (
            vec![bent(HEADER, "\"sl_target\":0.8", "\"sl_target\":80")],
            "line 1: header.sl_target: must be a share",
        ),
        (
            vec![bent(HEADER, "\"notice\":60,", "")],
            "line 1: header: missing field `notice`",
        ),
        (
            vec![
                HEADER.into(),
                AGENTS.into(),
                bent(REQUEST, "Europe/Berlin", "Mars/Olympus"),
            ],
            "line 3: request.tz: ",
        ),
        (
            vec![
                HEADER.into(),
                AGENTS.into(),
                bent(REQUEST, "\"asap\"", "\"window\""),
            ],
            "line 3: request.local_start: missing",
        ),
        (
            vec![
                HEADER.into(),
                REQUEST.into(),
                bent(DISPATCH, "\"idle\":3", "\"idle\":-3"),
            ],
            "line 3: idle: invalid value: integer `-3`",
        ),
        (
            vec![HEADER.into(), REQUEST.into(), AGENTS.into()],
            "line 3: t: 1781589600 lies before 1781593200",
        ),
        (
            vec![HEADER.into(), format!("{AGENTS} {AGENTS}")],
            "line 2: ev: trailing characters",
        ),
        (
            vec![HEADER.into(), AGENTS.into()],
            "line 3: the input ends before",
        ),
    ];
    for (lines, expected) in table {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (done, answers) = said(&lines);
        let told = done.expect_err(expected).to_string();
        assert!(told.starts_with(expected), "{told}\nexpected {expected}");
        // Nothing is answered to the line that was not understood.
        let asked = lines[..lines.len() - 1]
            .iter()
            .filter(|line| **line == REQUEST)
            .count();
        assert!(answers.len() <= asked, "{answers:?}");
    }
}

#[test]
fn a_line_without_end_is_not_gathered_for_ever() {
    let long = "x".repeat(LONGEST_LINE as usize + 1);
    let (done, _) = said(&[HEADER, &long]);
    let told = done.unwrap_err().to_string();
    assert_eq!(told, "line 2: is longer than 1048576 bytes");
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let mut server = PlannedServer::new(Tuning::default());
    let done = converse(&b"\xff\xfe\n"[..], Vec::new(), &mut server);
    assert_eq!(done.unwrap_err().to_string(), "line 1: is not UTF-8");
}
