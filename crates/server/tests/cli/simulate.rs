//! `ringback simulate --stdio`: a whole day told line by line to the program, against the same day in this process.

use crate::place::{Place, text};
use ringback_scheduling::Zone;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::generate::{LiveHabits, Recipe, Wishes, generate};
use ringback_simulate::habits::Habits;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::scenario::{ReachPrior, RingTimes};
use ringback_simulate::{
    Answer, Dispatch, Header, Id, Outcome, Request, Scenario, Second, Server, View, World, measure,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// 16 June 2026, 08:00 in Berlin.
const OPENS: Second = 1_781_589_600;

fn day() -> Scenario {
    let closes = OPENS + 5 * 3600;
    let header = Header {
        name: "small".to_owned(),
        seed: 0,
        t1: closes + 4 * 3600,
        tz: Zone::parse("Europe/Berlin").unwrap(),
        date: jiff::civil::date(2026, 6, 16),
        open: vec![(OPENS, closes)],
        agents_plan: vec![(OPENS, 3), (OPENS + 7200, 4)],
        inbound_forecast: vec![(OPENS, 15.0)],
        inbound_aht: 285.0,
        callback_talk: 240.0,
        callback_wrap: 30.0,
        ring: RingTimes {
            answer: 14,
            busy: 5,
            no_answer: 30,
            machine: 15,
            invalid: 5,
            failed: 4,
        },
        reach_prior: ReachPrior {
            fresh: [0.85, 0.05, 0.04, 0.06],
            inside: [0.72, 0.10, 0.05, 0.13],
            outside: [0.50, 0.08, 0.07, 0.35],
        },
        legal_local: ("08:00".to_owned(), "21:00".to_owned()),
        asap_patience: 3600,
        max_attempts: 4,
        min_gap: 120,
        attention: 1800,
        notice: 60,
        sl_target: 0.8,
        sl_seconds: 20,
        abandon_target: 0.05,
    };
    let mut habits = Habits::usual(&header);
    // Every line of the protocol is to be spoken.
    (habits.cancel, habits.twice) = (0.2, 0.2);
    let recipe = Recipe {
        load: 1.1,
        habits,
        wishes: Wishes::default(),
        live: LiveHabits::default(),
        zones: vec![(header.tz.clone(), 1.0)],
        header,
    };
    generate(&recipe, 3).unwrap()
}

/// The program at the far end of two pipes, in the seat of the server.
struct Program {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    spoken: usize,
}

impl Program {
    fn start(place: &Place) -> Program {
        let mut child = place
            .command(&["simulate", "--stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Program {
            input: BufWriter::new(child.stdin.take().unwrap()),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            spoken: 0,
        }
    }

    fn say(&mut self, line: Value) {
        writeln!(self.input, "{line}").unwrap();
        self.spoken += 1;
    }

    fn ask(&mut self, line: Value) -> String {
        self.say(line);
        self.input.flush().unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
    }
}

impl Server for Program {
    fn header(&mut self, header: &Header) {
        self.say(json!({ "ev": "header", "header": header }));
    }

    fn agents(&mut self, now: Second, n: u32) {
        self.say(json!({ "ev": "agents", "t": now, "n": n }));
    }

    fn request(&mut self, now: Second, request: &Request) -> Answer {
        let answer = self.ask(json!({ "ev": "request", "t": now, "request": request }));
        serde_json::from_str(&answer).unwrap()
    }

    fn cancel(&mut self, now: Second, id: &Id) {
        self.say(json!({ "ev": "cancel", "t": now, "id": id }));
    }

    fn dispatch(&mut self, now: Second, view: View) -> Dispatch {
        let answer = self.ask(json!({
            "ev": "dispatch", "t": now, "idle": view.idle, "n": view.n, "queue": view.queue,
            "oldest_inbound_at": view.oldest_inbound_at,
        }));
        serde_json::from_str(&answer).unwrap()
    }

    fn result(&mut self, now: Second, id: &Id, n: u32, outcome: Outcome) {
        self.say(json!({ "ev": "result", "t": now, "id": id, "n": n, "result": outcome }));
    }

    fn done(&mut self, now: Second, id: &Id) {
        self.say(json!({ "ev": "done", "t": now, "id": id }));
    }

    fn inbound(&mut self, now: Second, id: &Id) {
        self.say(json!({ "ev": "inbound", "t": now, "id": id }));
    }

    fn inbound_answered(&mut self, now: Second, id: &Id, wait: Second) {
        self.say(json!({ "ev": "inbound_answered", "t": now, "id": id, "wait": wait }));
    }

    fn inbound_abandoned(&mut self, now: Second, id: &Id, wait: Second) {
        self.say(json!({ "ev": "inbound_abandoned", "t": now, "id": id, "wait": wait }));
    }

    fn end(&mut self) {
        self.say(json!({ "ev": "end" }));
        self.input.flush().unwrap();
    }
}

#[test]
fn the_program_decides_as_the_planner_does() {
    let scenario = day();
    let place = Place::new("");
    let mut program = Program::start(&place);
    let told = World::new(&scenario).run(&mut program);
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
    assert!(program.spoken > 500, "{}", program.spoken);
    let own = World::new(&scenario).run(&mut PlannedServer::new(Tuning::default()));
    assert_eq!(told.decisions, own.decisions);
    let figures = measure(&scenario, &told);
    assert_eq!(figures.violations, 0, "{:?}", figures.rules_broken);
    assert!(figures.kept > 0.4 && figures.requests > 60, "{figures:#?}");
}

#[test]
fn what_cannot_be_understood_ends_with_line_and_field() {
    let place = Place::new("");
    let mut child = place
        .command(&["simulate", "--stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut header = serde_json::to_value(&day().header).unwrap();
    header["callback_talk"] = json!("long");
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", json!({ "ev": "header", "header": header })).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let errors = text(&output.stderr);
    assert!(
        errors.contains("line 1: header.callback_talk: "),
        "{errors}"
    );
}

/// A queue with two agents, open by day, and one that nobody serves.
const BILLING: &str = r#"
[server]
listen = "127.0.0.1:0"
data = "data"
[api]
open_on_loopback = true
[[queues]]
id = "billing"
name = "Billing"
hours = { opening_hours = "Mo-Fr 08:00-18:00", time_zone = "Europe/London" }
dial = { regions = ["GB"], default_region = "GB" }
[[queues]]
id = "nobody"
name = "Nobody"
hours = { opening_hours = "Mo-Fr 08:00-18:00", time_zone = "Europe/London" }
dial = { regions = ["GB"], default_region = "GB" }
[[agents]]
id = 1
name = "Ann"
dn = "101"
queues = ["billing"]
[[agents]]
id = 2
name = "Bob"
dn = "102"
queues = ["billing"]
"#;

/// A Tuesday on which eight people want their call, an hour apart.
fn booked() -> Place {
    let mut place = Place::new(BILLING);
    place.start();
    for hour in 10..18 {
        place.book(&[
            "--queue",
            "billing",
            "--to",
            &format!("+4420794600{hour}"),
            "--at",
            &format!("2027-03-09T{hour}:00:00Z"),
        ]);
    }
    place
}

#[test]
fn a_recorded_day_is_rehearsed_with_and_without_the_change() {
    let mut place = booked();
    let ask = |place: &Place, more: &[&str]| {
        let all = [
            &[
                "simulate",
                "--queue",
                "billing",
                "--day",
                "2027-03-09",
                "--json",
            ],
            more,
        ];
        place.json(&all.concat())
    };
    // While the server runs.
    let told = ask(&place, &["--agents", "4", "--demand", "x3"]);
    assert_eq!(told["basis"], "recorded");
    assert_eq!(told["record"]["callbacks"], 8);
    assert_eq!(told["record"]["open"], 8);
    assert_eq!(told["drawn"]["never_dialled"], 8);
    assert_eq!(told["without"]["requests"], 8.0);
    // Of those who come on top a few take it back, and then do not count.
    let requests = told["with"]["requests"].as_f64().unwrap();
    assert!((20.0..=24.0).contains(&requests), "{told:#}");
    assert_eq!(told["difference"]["requests"], requests - 8.0);
    assert_eq!(told["change"]["staff"]["agents"], 4);
    // One call an hour for two agents: there is room for everybody.
    assert_eq!(told["without"]["declined"], 0.0, "{told:#}");
    assert_eq!(told["without"]["broken"], 0.0, "{told:#}");
    assert!(told["without"]["kept"].as_f64() > Some(0.7), "{told:#}");
    let notes = told["notes"].to_string();
    assert!(notes.contains("drawn by chance"), "{notes}");
    assert!(
        notes.contains("the 2 agents who serve the queue"),
        "{notes}"
    );

    place.signal("TERM");
    assert_eq!(place.wait().code(), Some(0));
    let database = place.dir.path().join("data/ringback.db");
    let before = std::fs::read(&database).unwrap();
    let again = ask(&place, &["--agents", "4", "--demand", "x3"]);
    assert_eq!(again, told, "the same seed");
    let other = ask(&place, &["--agents", "4", "--demand", "x3", "--seed", "99"]);
    assert_ne!(other["with"], told["with"], "another seed");
    assert_eq!(
        std::fs::read(&database).unwrap(),
        before,
        "nothing is changed"
    );
}

#[test]
fn a_made_up_day_needs_no_record() {
    let mut place = Place::new(BILLING);
    place.start();
    let plan = "[[weekly]]\ndays = \"Mo-Fr\"\nfrom = \"08:00\"\nto = \"18:00\"\nagents = 4\n";
    std::fs::write(place.dir.path().join("plan.toml"), plan).unwrap();
    let arguments = [
        "simulate",
        "--queue",
        "billing",
        "--day",
        "2027-03-09",
        "--load",
        "1.1",
        "--seed",
        "7",
        "--runs",
        "2",
        "--capacity-plan",
        "plan.toml",
    ];
    let table = place.ok(&arguments);
    for expected in [
        "WITHOUT",
        "made-up day 2027-03-09",
        "broken promises",
        "kept as told",
        "seeds 7 to 8",
    ] {
        assert!(table.contains(expected), "{table}");
    }
    let told = place.json(&[&arguments[..], &["--json"]].concat());
    assert_eq!(told["basis"], "generated");
    assert_eq!(told["record"], Value::Null);
    let kept = |which: &str| told[which]["kept"].as_f64().unwrap();
    assert!(kept("with") > kept("without") + 0.05, "{told:#}");
    assert!(
        told["difference"]["declined"].as_f64() < Some(0.0),
        "{told:#}"
    );
}

#[test]
fn questions_without_an_answer_say_why() {
    let mut place = Place::new(BILLING);
    let output = place.run(&["simulate", "--queue", "billing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no database that can be read"));
    assert!(!place.dir.path().join("data").exists(), "nothing is made");
    place.start();
    for (name, plan) in [
        ("odd.toml", "[[weekly]]\ndays = \"Mo-Fr\"\nstaff = 4\n"),
        (
            "night.toml",
            "[[weekly]]\ndays = \"Mo-Fr\"\nfrom = \"20:00\"\nto = \"22:00\"\nagents = 4\n",
        ),
        ("slots.toml", "per_slot = 4\n"),
    ] {
        std::fs::write(place.dir.path().join(name), plan).unwrap();
    }
    let tuesday = ["--day", "2027-03-09", "--generated"];
    let table: [(&[&str], &str); 13] = [
        (
            &["--queue", "nope"],
            "--queue: there is no queue `nope`; known are `billing`, `nobody`",
        ),
        (
            &["--queue", "bill ing"],
            "--queue: `bill ing` is no name of a queue",
        ),
        (
            &["--queue", "billing", "--day", "2027-03-09"],
            "--day: there is no record of 2027-03-09",
        ),
        (
            &["--queue", "billing", "--day", "2027-03-13"],
            "--day: queue `billing` is closed on 2027-03-13",
        ),
        (
            &["--queue", "billing", "--day", "soon"],
            "must be today, yesterday or a date",
        ),
        (
            &["--queue", "nobody"],
            "has neither a staff plan nor agents",
        ),
        (&["--queue", "billing", "--agents", "0"], "'--agents <N>'"),
        (
            &["--queue", "billing", "--capacity-plan", "none.toml"],
            "--capacity-plan: none.toml: cannot be read",
        ),
        (
            &["--queue", "billing", "--capacity-plan", "odd.toml"],
            "unknown field `staff`",
        ),
        (
            &["--queue", "billing", "--capacity-plan", "night.toml"],
            "has nobody there while the queue is open",
        ),
        (
            &["--queue", "billing", "--capacity-plan", "slots.toml"],
            "per_slot: a number per slot says nothing",
        ),
        (
            &["--queue", "billing", "--demand", "20%"],
            "must be a factor",
        ),
        (&["--queue", "billing", "--load", "11"], "load"),
    ];
    for (arguments, expected) in table {
        let mut all = vec!["simulate"];
        all.extend(arguments);
        if !arguments.contains(&"--day") {
            all.extend(tuesday);
        }
        let output = place.run(&all);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
