//! What a day is made of: queues with their rules, agents, people with telephones; and the hours worked
//! out a second time, in the plainest way, to check the program's own.

use crate::dice::Dice;
use crate::wall::Rates;
use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::ids::{AgentId, QueueId, TenantId};
use ringback_callbacks::queue::{Queue, QueueRules};
use serde_json::{Value, json};

/// Everything about a day that is settled before it begins.
pub struct Plan {
    pub begins: Timestamp,
    /// Hours in which people book and things go wrong.
    pub busy_hours: u64,
    pub queues: Vec<QueuePlan>,
    pub agents: Vec<AgentPlan>,
    pub numbers: Vec<Number>,
    pub bookings: u64,
    pub nodes: usize,
    pub rates: Rates,
    /// Minutes between two larger misfortunes, at most; 0: none.
    pub trouble_every: u64,
    pub lease: u64,
    /// Callbacks touched in one claiming transaction.
    pub batch: usize,
    pub max_claims: usize,
}

pub struct QueuePlan {
    pub id: QueueId,
    pub hours: Hours,
    pub rules: QueueRules,
    pub by_agents: bool,
    pub places: u32,
    pub takes_mail: bool,
}

pub struct AgentPlan {
    pub id: AgentId,
    pub auto_accept: bool,
    pub queues: Vec<QueueId>,
    /// Of a thousand offers, how many are taken, and how many of the rest are declined aloud.
    pub takes: u64,
    pub declines: u64,
}

/// A telephone or a mailbox, and the only zone it can be in.
#[derive(Clone)]
pub struct Number {
    pub contact: String,
    pub kind: &'static str,
    pub zone: Option<&'static str>,
}

/// Opening hours as this test understands them.
pub struct Hours {
    zone: &'static str,
    days: &'static [Weekday],
    /// Minutes of the day.
    spans: &'static [(i32, i32)],
    closed: Option<Date>,
}

const WEEK: &[Weekday] = &[
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
];
const ALL: &[Weekday] = &[
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];
const LONG: &[(i32, i32)] = &[(8 * 60, 20 * 60)];
const SPLIT: &[(i32, i32)] = &[(7 * 60, 12 * 60), (13 * 60 + 30, 19 * 60 + 15)];
const ALWAYS: &[(i32, i32)] = &[(0, 24 * 60)];

impl Hours {
    fn drawn(dice: &Dice, day: Date) -> Hours {
        Hours {
            zone: dice.one_of(&[
                "America/New_York",
                "Europe/Paris",
                "America/Los_Angeles",
                "UTC",
            ]),
            days: if dice.per_mille(400) { WEEK } else { ALL },
            spans: dice.one_of(&[LONG, SPLIT, LONG, ALWAYS]),
            closed: dice
                .per_mille(150)
                .then(|| day.tomorrow().expect("no end of time")),
        }
    }

    fn written(&self) -> Value {
        let days = if self.days.len() == 5 {
            "Mo-Fr"
        } else {
            "Mo-Su"
        };
        let clock = |minutes: i32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let spans: Vec<String> = self
            .spans
            .iter()
            .map(|(from, to)| format!("{}-{}", clock(*from), clock(*to)))
            .collect();
        let mut hours = json!({
            "opening_hours": format!("{days} {}", spans.join(",")),
            "time_zone": self.zone,
        });
        if let Some(closed) = self.closed {
            hours["exceptions"] = json!([{ "date": closed.to_string() }]);
        }
        hours
    }

    pub fn open(&self, at: Timestamp) -> bool {
        let wall = at.in_tz(self.zone).expect("a zone");
        let minute = i32::from(wall.hour()) * 60 + i32::from(wall.minute());
        self.closed != Some(wall.date())
            && self.days.contains(&wall.weekday())
            && self
                .spans
                .iter()
                .any(|(from, to)| (*from..*to).contains(&minute))
    }
}

/// 08:00 to 21:00 on the clock of this zone.
pub fn awake(zone: &str, at: Timestamp) -> bool {
    let wall = at.to_zoned(TimeZone::get(zone).expect("a zone"));
    (8..21).contains(&wall.hour())
}

/// Days on which clocks are set are worth more than others.
fn some_day(dice: &Dice) -> Date {
    match dice.below(6) {
        0 => dice.one_of(&[
            date(2026, 3, 8),
            date(2026, 3, 29),
            date(2026, 10, 25),
            date(2026, 11, 1),
        ]),
        _ => date(2026, 1, 1)
            .checked_add((dice.below(365) as i64).days())
            .expect("in range"),
    }
}

impl Plan {
    pub fn drawn(dice: &Dice) -> Plan {
        let day = some_day(dice);
        let mut queues = vec![QueuePlan::drawn(dice, "billing", day, true)];
        for name in ["repairs", "switchboard"] {
            if dice.per_mille(450) {
                let by_agents = name == "repairs";
                queues.push(QueuePlan::drawn(dice, name, day, by_agents));
            }
        }
        let agents = (1..=dice.between(1, 5))
            .map(|id| AgentPlan::drawn(dice, id as i64, &queues))
            .collect();
        // Fewer numbers than bookings: some people ask twice.
        let bookings = dice.between(20, 40) + if dice.per_mille(100) { 40 } else { 0 };
        let numbers = (0..bookings * 3 / 4 + 1)
            .map(|n| Number::drawn(dice, n))
            .collect();
        let hour = dice.between(5, 11) as i8;
        let begins = day
            .at(hour, 0, 0, 0)
            .in_tz(queues[0].hours.zone)
            .expect("a moment")
            .timestamp();
        let calm = dice.per_mille(150);
        let share = |most: u64| if calm { 0 } else { dice.below(most + 1) };
        Plan {
            begins,
            busy_hours: dice.between(3, 7),
            queues,
            agents,
            numbers,
            bookings,
            nodes: if dice.per_mille(600) { 2 } else { 1 },
            rates: Rates {
                before: share(25),
                after: share(25),
                slow: share(60),
                late: share(60),
            },
            trouble_every: if calm { 0 } else { dice.between(10, 90) },
            lease: dice.between(20, 120),
            batch: dice.one_of(&[2, 4, 16, 256]),
            max_claims: dice.one_of(&[1, 2, 8, 2000]),
        }
    }
}

impl QueuePlan {
    fn drawn(dice: &Dice, name: &str, day: Date, by_agents: bool) -> QueuePlan {
        let hours = Hours::drawn(dice, day);
        let places = dice.between(1, 3) as u32;
        let template = dice.per_mille(500);
        let mut rules = json!({
            "name": name,
            "hours": hours.written(),
            "dial": { "regions": ["US", "FR", "DE", "GB"], "default_region": "US" },
            "routes": { "voice": ["town"], "voip": ["town"], "email": ["post"] },
            "duplicates": dice.pick(&["merge", "join", "refuse", "allow", "allow"]),
            "ring_customer": format!("{}s", dice.between(25, 60)),
            "offer": format!("{}s", dice.between(10, 60)),
            "wrap_up": format!("{}s", dice.one_of(&[0, 20, 60, 180])),
            "reply": format!("{}s", dice.between(300, 1800)),
            "calls_per_number_per_day": dice.between(2, 6),
            "promise_within": format!("{}m", dice.between(15, 240)),
            "default_window": format!("{}h", dice.between(2, 30)),
            "retry": {
                "busy": { "after": format!("{}s", dice.between(5, 600)), "times": dice.between(0, 4) },
                "no_answer": { "after": format!("{}s", dice.between(30, 3600)), "times": dice.between(0, 3) },
                "machine": { "after": format!("{}s", dice.between(60, 3600)), "times": dice.between(0, 2) },
                "unknown": { "after": format!("{}s", dice.between(1, 1800)), "times": dice.between(0, 3) },
                "route_fault": { "after": format!("{}s", dice.between(1, 60)), "times": 60, "grows_to": "15m" },
                "max_attempts": dice.between(1, 6),
                "spread": if dice.per_mille(500) { 0.0 } else { 0.2 },
            },
        });
        if !by_agents {
            rules["delivery"] =
                json!({ "kind": "dn", "dn": "6000", "location": "pbx", "max_concurrent": places });
        }
        if template {
            rules["email"] = json!({
                "template": { "subject": "Your request", "text": "We have it." },
                "max_concurrent": places,
            });
        }
        if dice.per_mille(300) {
            rules["leg_order"] = json!("customer_first");
        }
        QueuePlan {
            id: QueueId::parse(name).expect("an id"),
            hours,
            rules: serde_json::from_value(rules).expect("rules"),
            by_agents,
            places,
            takes_mail: by_agents || template,
        }
    }

    pub fn queue(&self, begins: Timestamp) -> Queue {
        Queue {
            tenant: TenantId::default(),
            id: self.id.clone(),
            rules: self.rules.clone(),
            intake_paused: false,
            dialling_paused: false,
            removed: false,
            created_at: begins,
            revision: 0,
        }
    }
}

impl AgentPlan {
    fn drawn(dice: &Dice, id: i64, queues: &[QueuePlan]) -> AgentPlan {
        let serves: Vec<QueueId> = queues
            .iter()
            .filter(|queue| queue.by_agents)
            .enumerate()
            // Everybody serves one queue; the first agent all of them.
            .filter(|(index, _)| id == 1 || *index as i64 == id % 2 || dice.per_mille(300))
            .map(|(_, queue)| queue.id.clone())
            .collect();
        AgentPlan {
            id: AgentId(id),
            auto_accept: dice.per_mille(300),
            queues: serves,
            takes: dice.between(400, 1000),
            declines: dice.between(0, 1000),
        }
    }

    pub fn agent(&self, begins: Timestamp) -> Agent {
        Agent {
            tenant: TenantId::default(),
            id: self.id,
            name: format!("Agent {}", self.id),
            dn: format!("100{}", self.id),
            route: None,
            queues: self.queues.clone(),
            presence: Presence::Ready,
            auto_accept: self.auto_accept,
            engaged: None,
            idle_since: begins,
            revision: 0,
        }
    }
}

impl Number {
    fn drawn(dice: &Dice, n: u64) -> Number {
        let (contact, kind, zone) = match dice.below(8) {
            0 => (format!("person{n}@example.com"), "Email", None),
            1 => (format!("sip:person{n}@example.com"), "VoIP", None),
            2 => (
                format!("+1415555{:04}", 100 + n),
                "Voice",
                Some("America/Los_Angeles"),
            ),
            3 => (
                format!("+1808555{:04}", 100 + n),
                "Voice",
                Some("Pacific/Honolulu"),
            ),
            4 => (
                format!("+4930123{:03}", 100 + n),
                "Voice",
                Some("Europe/Berlin"),
            ),
            5 => (
                format!("+33142685{:03}", 100 + n),
                "Voice",
                Some("Europe/Paris"),
            ),
            _ => (
                format!("+1212555{:04}", 100 + n),
                "Voice",
                Some("America/New_York"),
            ),
        };
        Number {
            contact,
            kind,
            zone,
        }
    }
}
