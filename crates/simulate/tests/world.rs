//! The world itself: each rule, the order inside a second, and the customers' luck.

use std::collections::HashMap;

use ringback_simulate::measure::check_capacity;
use ringback_simulate::scenario::Phone;
use ringback_simulate::world::{Decision, Stretch};
use ringback_simulate::{
    Answer, Day, Dispatch, Header, Id, Move, Outcome, Request, Rule, Scenario, Second, Server,
    View, World,
};

/// Does what a test says, at the seconds it says, and notes what it is told.
#[derive(Default)]
struct Script {
    /// Answers other than the promise of the next half hour.
    answers: HashMap<&'static str, Answer>,
    dials: Vec<(Second, &'static str)>,
    moves: Vec<(Second, &'static str, Second, Second)>,
    told: Vec<String>,
}

impl Server for Script {
    fn header(&mut self, _: &Header) {}

    fn agents(&mut self, now: Second, n: u32) {
        self.told.push(format!("{now} agents {n}"));
    }

    fn request(&mut self, now: Second, request: &Request) -> Answer {
        self.told.push(format!("{now} request {}", request.id));
        let usual = Answer::Accepted {
            start: now,
            end: now + 1800,
        };
        self.answers.get(&*request.id).copied().unwrap_or(usual)
    }

    fn cancel(&mut self, now: Second, id: &Id) {
        self.told.push(format!("{now} cancel {id}"));
    }

    fn dispatch(&mut self, now: Second, view: View) -> Dispatch {
        self.told.push(format!(
            "{now} dispatch idle {} queue {}",
            view.idle, view.queue
        ));
        let (due, later) = self.dials.iter().partition(|dial| dial.0 <= now);
        self.dials = later;
        let due: Vec<(Second, &str)> = due;
        let (moved, later) = self.moves.iter().partition(|moved| moved.0 <= now);
        self.moves = later;
        let moved: Vec<(Second, &str, Second, Second)> = moved;
        let dials = self.dials.iter().map(|dial| dial.0);
        let moves = self.moves.iter().map(|moved| moved.0);
        Dispatch {
            dial: due.iter().map(|dial| dial.1.into()).collect(),
            moves: moved
                .iter()
                .map(|(_, id, start, end)| Move {
                    id: (*id).into(),
                    start: *start,
                    end: *end,
                })
                .collect(),
            wake: dials.chain(moves).min(),
        }
    }

    fn result(&mut self, now: Second, id: &Id, n: u32, outcome: Outcome) {
        self.told.push(format!("{now} result {id} {n} {outcome:?}"));
    }

    fn done(&mut self, now: Second, id: &Id) {
        self.told.push(format!("{now} done {id}"));
    }

    fn inbound(&mut self, now: Second, id: &Id) {
        self.told.push(format!("{now} inbound {id}"));
    }

    fn inbound_answered(&mut self, now: Second, id: &Id, wait: Second) {
        self.told.push(format!("{now} answered {id} {wait}"));
    }

    fn inbound_abandoned(&mut self, now: Second, id: &Id, wait: Second) {
        self.told.push(format!("{now} abandoned {id} {wait}"));
    }

    fn end(&mut self) {
        self.told.push("end".to_owned());
    }
}

const HEADER: &str = r#"{"type":"header","t1":9000,"tz":"UTC","date":"1970-01-01","open":[[800,5000]],
"agents_plan":[[800,1]],"inbound_forecast":[[800,10.0]],"inbound_aht":100,"callback_talk":60,
"callback_wrap":10,"ring":{"answer":14,"busy":5,"no_answer":30,"machine":15,"invalid":6,"failed":4},
"reach_prior":{"fresh":[1,0,0,0],"inside":[1,0,0,0],"outside":[1,0,0,0]},
"legal_local":["00:00","24:00"],"asap_patience":3600,"max_attempts":4,"min_gap":120,"attention":1800,
"notice":60,"sl_target":0.8,"sl_seconds":20,"abandon_target":0.05}"#;

/// Customers, by what they are there for: `(id, booked, number, state of the phone)`. All talk for
/// 60 s and leave 10 s of wrap-up.
const CUSTOMERS: [(&str, Second, &str, &str); 6] = [
    ("answers", 1000, "+1", "answer"),
    ("again", 1200, "+1", "answer"),
    ("busy", 1000, "+2", "busy"),
    ("cancels", 1000, "+3", "answer"),
    ("late", 4800, "+4", "answer"),
    ("waits", 1000, "+5", "if_promised"),
];

fn scenario(agents: u32, more: &str, truth_of_more: &str) -> Scenario {
    let mut public = HEADER.replace('\n', "");
    let mut truth = String::new();
    public.push_str(&format!(
        "\n{{\"type\":\"agents\",\"at\":800,\"n\":{agents}}}\n"
    ));
    for (id, at, number, phone) in CUSTOMERS {
        public.push_str(&format!(
            r#"{{"type":"request","id":"{id}","at":{at},"number":"{number}","kind":"asap","tz":"UTC","local_start":null,"local_end":null}}"#,
        ));
        public.push('\n');
        truth.push_str(&format!(
            r#"{{"type":"request","id":"{id}","start":{at},"end":4000,"dialable":[[{at},1500],[1600,9000]],"states":[[0,9000,"{phone}"]],"flukes":[3],"talk":60,"wrap":10,"duplicate_of":null}}"#,
        ));
        truth.push('\n');
    }
    public
        .push_str("{\"type\":\"cancel\",\"id\":\"cancels\",\"at\":1100,\"reason\":\"customer\"}\n");
    public.push_str(more);
    truth.push_str(truth_of_more);
    Scenario::parse(&public, &truth).unwrap()
}

fn broken(day: &Day) -> Vec<(Second, &str, Rule)> {
    day.violations
        .iter()
        .map(|(at, id, rule)| (*at, &**id, *rule))
        .collect()
}

/// Dials carried out.
fn carried_out(day: &Day) -> usize {
    day.requests.iter().map(|one| one.attempts.len()).sum()
}

#[test]
fn a_dial_that_breaks_a_rule_is_refused_and_counted() {
    use Rule::*;
    type Dials = &'static [(Second, &'static str)];
    let cases: [(Rule, u32, Dials); 13] = [
        (BeforeBooking, 1, &[(900, "answers")]),
        (BeforeBooking, 1, &[(1000, "unheard of")]),
        (AfterCancel, 1, &[(1100, "cancels")]),
        (OutsideOpeningHours, 1, &[(5000, "late")]),
        (OutsidePermittedHours, 1, &[(1500, "answers")]),
        (
            TooManyAttempts,
            1,
            &[
                (1000, "busy"),
                (1120, "busy"),
                (1240, "busy"),
                (1360, "busy"),
                (1480, "busy"),
            ],
        ),
        (TooSoon, 1, &[(1000, "busy"), (1119, "busy")]),
        (AlreadyConnected, 1, &[(1000, "answers"), (1200, "answers")]),
        (NumberInCall, 2, &[(1210, "answers"), (1293, "again")]),
        (DoubleCall, 1, &[(1210, "answers"), (1294, "again")]),
        (NoAgentFree, 1, &[(1000, "answers"), (1000, "busy")]),
        (NoAgentFree, 1, &[(1000, "answers"), (1083, "busy")]),
        (NotAccepted, 1, &[(1000, "waits")]),
    ];
    let scenarios = [scenario(1, "", ""), scenario(2, "", "")];
    for (rule, agents, dials) in cases {
        let mut script = Script {
            dials: dials.to_vec(),
            answers: HashMap::from([("waits", Answer::Declined)]),
            ..Script::default()
        };
        let day = World::new(&scenarios[agents as usize - 1]).run(&mut script);
        let (at, id) = dials[dials.len() - 1];
        assert_eq!(broken(&day), [(at, id, rule)], "{rule:?}");
        assert_eq!(carried_out(&day), dials.len() - 1, "{rule:?}");
        let refused = format!("{at} result {id} 0 Refused");
        assert!(
            script.told.contains(&refused),
            "{rule:?}: {:?}",
            script.told
        );
    }
}

#[test]
fn what_is_just_allowed_is_carried_out() {
    let cases: [&[(Second, &'static str)]; 5] = [
        &[(4999, "late")],
        &[(1499, "answers")],
        &[
            (1000, "busy"),
            (1120, "busy"),
            (1240, "busy"),
            (1360, "busy"),
        ],
        // Served before the second request was made: no double call.
        &[(1000, "answers"), (1200, "again")],
        &[(1000, "answers"), (1084, "busy")],
    ];
    let scenario = scenario(1, "", "");
    for dials in cases {
        let mut script = Script {
            dials: dials.to_vec(),
            ..Script::default()
        };
        let day = World::new(&scenario).run(&mut script);
        assert_eq!(broken(&day), [], "{dials:?}");
        assert_eq!(carried_out(&day), dials.len(), "{dials:?}");
    }
}

#[test]
fn promises_run_forwards_and_move_with_notice() {
    let accepted = |start, end| Answer::Accepted { start, end };
    const BAD: Rule = Rule::BadPromise;
    type Moved = &'static [(Second, &'static str, Second, Second)];
    type Expected = &'static [(Second, Rule)];
    let cases: [(Answer, Moved, Expected); 8] = [
        (accepted(1000, 1000), &[], &[]),
        (accepted(999, 1300), &[], &[(1000, BAD)]),
        (accepted(1300, 1299), &[], &[(1000, BAD)]),
        (accepted(1000, 1300), &[(1010, "waits", 1070, 1070)], &[]),
        (
            accepted(1000, 1300),
            &[(1010, "waits", 1069, 1400)],
            &[(1010, BAD)],
        ),
        (
            accepted(1000, 1300),
            &[(1010, "waits", 1400, 1399)],
            &[(1010, BAD)],
        ),
        (
            Answer::Declined,
            &[(1010, "waits", 1200, 1300)],
            &[(1010, BAD)],
        ),
        (Answer::Merged, &[], &[(1000, Rule::BadMerge)]),
    ];
    let scenario = scenario(1, "", "");
    for (answer, moves, expected) in cases {
        let mut script = Script {
            answers: HashMap::from([("waits", answer)]),
            moves: moves.to_vec(),
            ..Script::default()
        };
        let day = World::new(&scenario).run(&mut script);
        let broken: Vec<(Second, Rule)> = broken(&day).iter().map(|one| (one.0, one.2)).collect();
        assert_eq!(broken, expected, "{answer:?} {moves:?}");
        assert_eq!(day.moves, moves.len().saturating_sub(expected.len()));
    }
}

#[test]
fn a_second_request_is_merged_only_into_one_that_is_open_or_in_its_call() {
    let merged = ("again", Answer::Merged);
    let declined = ("answers", Answer::Declined);
    type Answers = [(&'static str, Answer)];
    type Dials = [(Second, &'static str)];
    let cases: [(&Answers, &Dials, bool); 5] = [
        (&[merged], &[], true),
        (&[merged, declined], &[], false),
        // In its call, which ends at 1204, at 1200 and at 1199.
        (&[merged], &[(1120, "answers")], true),
        (&[merged], &[(1116, "answers")], true),
        (&[merged], &[(1115, "answers")], false),
    ];
    let scenario = scenario(1, "", "");
    for (answers, dials, right) in cases {
        let mut script = Script {
            answers: answers.iter().copied().collect(),
            dials: dials.to_vec(),
            ..Script::default()
        };
        let day = World::new(&scenario).run(&mut script);
        let expected: &[_] = if right {
            &[]
        } else {
            &[(1200, "again", Rule::BadMerge)]
        };
        assert_eq!(broken(&day), expected, "{answers:?} {dials:?}");
    }
}

#[test]
fn one_second_has_an_order() {
    // At 1084 the call of "answers" ends, an agent goes, somebody cancels and somebody books, one
    // live call comes and one is given up.
    let more = r#"{"type":"inbound","id":"i1","at":1030}
{"type":"inbound","id":"i2","at":1084}
{"type":"request","id":"new","at":1084,"number":"+9","kind":"asap","tz":"UTC","local_start":null,"local_end":null}
{"type":"cancel","id":"busy","at":1084,"reason":"customer"}
{"type":"agents","at":1084,"n":1}
"#;
    let truth = r#"{"type":"inbound","id":"i1","handle":40,"patience":54}
{"type":"inbound","id":"i2","handle":40,"patience":100}
{"type":"request","id":"new","start":1084,"end":4000,"dialable":[[1084,9000]],"states":[],"flukes":[],"talk":60,"wrap":10,"duplicate_of":null}
"#;
    let mut script = Script {
        dials: vec![(1000, "answers")],
        ..Script::default()
    };
    let day = World::new(&scenario(1, more, truth)).run(&mut script);
    let told: Vec<&str> = script
        .told
        .iter()
        .filter_map(|line| line.strip_prefix("1084 "))
        .collect();
    assert_eq!(
        told,
        [
            "agents 1",
            "done answers",
            "cancel busy",
            "request new",
            "inbound i2",
            "abandoned i1 54",
            "dispatch idle 1 queue 1",
            "answered i2 0",
            "dispatch idle 0 queue 0",
        ]
    );
    assert_eq!(script.told.last().map(String::as_str), Some("end"));
    assert_eq!(day.calls[0].abandoned, Some(1084));
    assert_eq!(day.calls[1].answered, Some(1084));
}

#[test]
fn an_agent_who_goes_finishes_the_call_and_takes_no_other() {
    let more = r#"{"type":"agents","at":1010,"n":0}
{"type":"inbound","id":"i1","at":1100}
"#;
    let truth = "{\"type\":\"inbound\",\"id\":\"i1\",\"handle\":40,\"patience\":54}\n";
    let mut script = Script {
        dials: vec![(1000, "answers"), (1090, "busy")],
        ..Script::default()
    };
    let day = World::new(&scenario(1, more, truth)).run(&mut script);
    assert_eq!(broken(&day), [(1090, "busy", Rule::NoAgentFree)]);
    assert_eq!(day.requests[0].connected, Some(1014));
    assert_eq!(day.calls[0].abandoned, Some(1154));
    assert_eq!(day.busy.len(), 1);
    assert_eq!((day.busy[0].from, day.busy[0].to), (1000, 1084));
}

#[test]
fn the_judge_finds_what_the_world_would_have_overlooked() {
    let more = "{\"type\":\"agents\",\"at\":2000,\"n\":0}\n";
    let mut script = Script {
        dials: vec![(1000, "answers")],
        ..Script::default()
    };
    let mut day = World::new(&scenario(1, more, "")).run(&mut script);
    assert_eq!(check_capacity(&day), []);
    let stretch = |agent, from, id: &str| Stretch {
        agent,
        from,
        to: from + 10,
        id: id.into(),
    };
    day.busy.push(stretch(0, 1084, "right after"));
    assert_eq!(check_capacity(&day), []);
    for (agent, from, id, rule) in [
        (0, 1083, "meanwhile", Rule::AgentInTwoCalls),
        (1, 1200, "a second agent", Rule::AgentNotOnShift),
        (0, 2000, "gone home", Rule::AgentNotOnShift),
        (0, 799, "not come yet", Rule::AgentNotOnShift),
    ] {
        let mut day = day.clone();
        day.busy.retain(|busy| &*busy.id != "right after");
        day.busy.push(stretch(agent, from, id));
        assert_eq!(check_capacity(&day), [(from, Id::from(id), rule)]);
    }
}

#[test]
fn luck_depends_on_the_moment_the_attempt_and_the_promise() {
    let mut scenario = scenario(1, "", "");
    let place = CUSTOMERS.len() - 1;
    let long = Answer::Accepted {
        start: 1000,
        end: 2801,
    };
    let short = Answer::Accepted {
        start: 1000,
        end: 2800,
    };
    let one: fn(Phone) -> Vec<(Second, Second, Phone)> = |phone| vec![(0, 9000, phone)];
    let cases = [
        (one(Phone::IfPromised), short, 1000, Outcome::Answered),
        (one(Phone::IfPromised), long, 1000, Outcome::NoAnswer),
        (one(Phone::IfPromised), short, 2800, Outcome::Answered),
        (one(Phone::IfPromised), short, 2801, Outcome::NoAnswer),
        (one(Phone::Answer), long, 4000, Outcome::Answered),
        (one(Phone::Machine), short, 1000, Outcome::Machine),
        (one(Phone::Invalid), short, 1000, Outcome::Invalid),
        (
            vec![(1001, 9000, Phone::Answer)],
            short,
            1000,
            Outcome::NoAnswer,
        ),
        (
            vec![(900, 1000, Phone::Answer)],
            short,
            1000,
            Outcome::NoAnswer,
        ),
    ];
    for (states, answer, at, expected) in cases {
        scenario.bookings[place].truth.states = states;
        for (flukes, expected) in [(vec![2], expected), (vec![1], Outcome::Failed)] {
            let invalid = expected == Outcome::Failed
                && scenario.bookings[place].truth.states[0].2 == Phone::Invalid;
            let expected = if invalid { Outcome::Invalid } else { expected };
            scenario.bookings[place].truth.flukes = flukes;
            let mut script = Script {
                answers: HashMap::from([("waits", answer)]),
                dials: vec![(at, "waits")],
                ..Script::default()
            };
            let day = World::new(&scenario).run(&mut script);
            assert_eq!(broken(&day), [], "{answer:?} {at}");
            let attempt = day.requests[place].attempts[0];
            assert_eq!((attempt.at, attempt.outcome), (at, expected), "{answer:?}");
            let on_record = |decision: &Decision| matches!(decision, Decision::Attempt { result, n: 1, .. } if *result == expected);
            assert!(day.decisions.iter().any(on_record), "{answer:?} {at}");
        }
    }
}

#[test]
fn a_text_that_is_no_scenario_is_refused_with_the_reason() {
    let header = HEADER.replace('\n', "");
    let public = |lines: &str| format!("{header}\n{lines}");
    let inbound = "{\"type\":\"inbound\",\"id\":\"i1\",\"at\":900}\n";
    let truth = "{\"type\":\"inbound\",\"id\":\"i1\",\"handle\":1,\"patience\":1}\n";
    let cases = [
        (String::new(), "", "must open with a line of type header"),
        (
            inbound.to_owned(),
            truth,
            "must open with a line of type header",
        ),
        (public(&header), "", "second header in line 2"),
        (header.replace("[[800,5000]]", "[]"), "", "open: "),
        (public(inbound), "", "no truth about \"i1\""),
        (public(&inbound.repeat(2)), truth, "no truth about \"i1\""),
        (
            public(inbound),
            &truth.repeat(2),
            "\"i1\" occurs twice in the truth",
        ),
        (
            public("\n{\"type\":\"agents\",\"at\":1}"),
            "",
            "public, line 3: missing field `n`",
        ),
        (
            public("{\"type\":\"cancel\",\"id\":\"r\",\"at\":1}"),
            "",
            "no request \"r\"",
        ),
        (header.clone(), "{", "truth, line 1: "),
    ];
    for (public, truth, reason) in cases {
        let error = Scenario::parse(&public, truth).unwrap_err().to_string();
        assert!(error.contains(reason), "{error:?} should say {reason:?}");
    }
    // A broken header is not a missing one: the field is named.
    let error = Scenario::parse(&header.replace("\"UTC\"", "\"Mars\""), "").unwrap_err();
    assert!(error.to_string().contains("Mars"), "{error}");
}
