//! Small days for the simulator's own tests.

use ringback_scheduling::Zone;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::generate::{LiveHabits, Recipe, Wishes, generate};
use ringback_simulate::habits::Habits;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::scenario::{ReachPrior, RingTimes};
use ringback_simulate::{Day, Header, Scenario, World};

/// 16 June 2026, 08:00 in Berlin.
pub const OPENS: i64 = 1_781_589_600;

/// A day of `hours` hours in Berlin with so many agents, who also answer live calls.
pub fn header(agents: u32, hours: i64) -> Header {
    let closes = OPENS + hours * 3600;
    Header {
        name: "small".to_owned(),
        seed: 0,
        t1: closes + 4 * 3600,
        tz: Zone::parse("Europe/Berlin").unwrap(),
        date: jiff::civil::date(2026, 6, 16),
        open: vec![(OPENS, closes)],
        agents_plan: vec![(OPENS, agents)],
        inbound_forecast: vec![(OPENS, f64::from(agents) * 5.0)],
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
    }
}

pub fn recipe(header: Header, load: f64) -> Recipe {
    Recipe {
        load,
        habits: Habits::usual(&header),
        wishes: Wishes::default(),
        live: LiveHabits::default(),
        zones: vec![(header.tz.clone(), 1.0)],
        header,
    }
}

pub fn day(agents: u32, hours: i64, load: f64, seed: u64) -> Scenario {
    generate(&recipe(header(agents, hours), load), seed).unwrap()
}

/// What the planner makes of a day.
pub fn planned(scenario: &Scenario) -> Day {
    World::new(scenario).run(&mut PlannedServer::new(Tuning::default()))
}
