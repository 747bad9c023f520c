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
