//! The answer to a what-if: a table for people, JSON for programs.

use super::record::{Learned, Tally};
use crate::commands::callbacks::table::Table;
use jiff::civil::Date;
use ringback_simulate::recorded::Drawn;
use ringback_simulate::whatif::{Change, Outlook, Staff};
use serde_json::{Value, json};
use std::fmt;

/// What was asked, what was known, and what came of it.
#[derive(Debug)]
pub struct Report {
    pub queue: String,
    pub date: Date,
    /// The day has ended.
    pub over: bool,
    pub generated: bool,
    /// Of a made-up day.
    pub load: f64,
    pub seeds: Vec<u64>,
    pub change: Change,
    /// Where the staff without the change is known from.
    pub staff: String,
    pub learned: Learned,
    pub record: Tally,
    /// What of a recorded day is chance.
    pub drawn: Option<Drawn>,
    pub without: Outlook,
    /// Nothing without a change.
    pub with: Option<Outlook>,
    pub json: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.json {
            return writeln!(f, "{:#}", self.as_json());
        }
        let kind = if self.generated {
            "made-up"
        } else {
            "recorded"
        };
        writeln!(f, "Queue {}, {kind} day {}", self.queue, self.date)?;
        if let Some(change) = self.change_in_words() {
            writeln!(f, "What if: {change}")?;
        }
        writeln!(f, "\n{}", self.table())?;
        for note in self.notes() {
            writeln!(f, "- {note}")?;
        }
        Ok(())
    }
}

/// How a figure is written.
#[derive(Clone, Copy)]
enum Unit {
    Count,
    Share,
    Minutes,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Unit::Count => format!("{value:.0}"),
            Unit::Share => format!("{:.1} %", value * 100.0),
            Unit::Minutes => format!("{value:.1} min"),
        }
    }

    fn write_difference(self, value: f64) -> String {
        match self {
            Unit::Count => format!("{value:+.0}"),
            Unit::Share => format!("{:+.1}", value * 100.0),
            Unit::Minutes => format!("{value:+.1} min"),
        }
    }
}

type Row = (&'static str, Unit, fn(&Outlook) -> Option<f64>);

const ROWS: [Row; 10] = [
    ("callbacks asked for", Unit::Count, |o| Some(o.requests)),
    ("kept: reached in the window", Unit::Share, |o| Some(o.kept)),
    ("kept as told", Unit::Share, |o| Some(o.told)),
    ("broken promises", Unit::Share, |o| Some(o.broken)),
    ("declined at booking", Unit::Share, |o| Some(o.declined)),
    ("wait as soon as possible, mean", Unit::Minutes, |o| {
        Some(o.wait_mean)
    }),
    ("wait as soon as possible, 90 %", Unit::Minutes, |o| {
        Some(o.wait_p90)
    }),
    ("live calls answered in time", Unit::Share, |o| {
        o.live_in_time
    }),
    ("live calls given up", Unit::Share, |o| o.live_given_up),
    ("agents' time in calls", Unit::Share, |o| Some(o.busy)),
];

impl Report {
    fn table(&self) -> Table {
        let Some(with) = &self.with else {
            let mut table = Table::new(&["", "AS PLANNED"]);
            for (name, unit, value) in ROWS {
                if let Some(value) = value(&self.without) {
                    table.row(vec![name.to_owned(), unit.write(value)]);
                }
            }
            return table;
        };
        let mut table = Table::new(&["", "WITHOUT", "WITH", "DIFFERENCE"]);
        let difference = with.minus(&self.without);
        for (name, unit, value) in ROWS {
            if let (Some(before), Some(after), Some(more)) =
                (value(&self.without), value(with), value(&difference))
            {
                table.row(vec![
                    name.to_owned(),
                    unit.write(before),
                    unit.write(after),
                    unit.write_difference(more),
                ]);
            }
        }
        table
    }

    fn change_in_words(&self) -> Option<String> {
        let staff = self.change.staff.as_ref().map(|staff| match staff {
            Staff::Flat(1) => "one agent whenever anybody is there".to_owned(),
            Staff::Flat(count) => format!("{count} agents whenever anybody is there"),
            Staff::Steps(_) => "the staff of the other plan".to_owned(),
        });
        let demand = self
            .change
            .demand
            .map(|factor| format!("callbacks asked for {factor} times as often"));
        let words: Vec<String> = staff.into_iter().chain(demand).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// What the figures rest on, and what of it is chance.
    fn notes(&self) -> Vec<String> {
        let (first, last) = (self.seeds.first(), self.seeds.last());
        let seeds = match (first, last) {
            (Some(first), Some(last)) if first != last => {
                format!(
                    "means of {} rehearsals, seeds {first} to {last}",
                    self.seeds.len()
                )
            }
            (Some(first), _) => format!("one rehearsal, seed {first}"),
            (None, _) => "no rehearsal".to_owned(),
        };
        let learned = &self.learned;
        let mut notes = vec![
            seeds,
            format!("staff without the change: {}", self.staff),
            format!(
                "talk {:.0} s, answered at the first dial {:.0} %: learned from {} calls and {} first dials of this \
                 queue, beside its own figures",
                learned.talk,
                learned.reach * 100.0,
                learned.talks,
                learned.first_dials
            ),
        ];
        if self.generated {
            notes.push(format!(
                "made up: arrivals, wishes, phones, talk and live calls of a day with load {}",
                self.load
            ));
        }
        if let Some(drawn) = &self.drawn {
            let record = &self.record;
            notes.push(format!(
                "in the record: {} callbacks, {} dials; promises kept {}, late {}, broken {}, released {}, open {}",
                record.callbacks,
                record.dials,
                record.kept,
                record.late,
                record.broken,
                record.released,
                record.open
            ));
            notes.push(format!(
                "drawn by chance, because no record holds it: what phones would have done when nobody dialled them \
                 ({} callbacks were never dialled), {} lengths of talk, {} live calls (from the forecast)",
                drawn.never_dialled, drawn.talk_drawn, drawn.live_calls
            ));
            notes.push(
                "whoever was declined in fact left no record and does not ask again here"
                    .to_owned(),
            );
            if drawn.left_out > 0 {
                notes.push(format!(
                    "left out: {} callbacks without a moment at which they might be dialled",
                    drawn.left_out
                ));
            }
            if record.by_mail > 0 {
                notes.push(format!("left out: {} callbacks by e-mail", record.by_mail));
            }
            if !self.over {
                notes.push(
                    "the day is not over: only what is recorded so far is rehearsed".to_owned(),
                );
            }
        }
        notes
    }

    fn as_json(&self) -> Value {
        let staff = self.change.staff.as_ref().map(|staff| match staff {
            Staff::Flat(count) => json!({ "agents": count }),
            Staff::Steps(steps) => json!({ "steps": steps }),
        });
        let difference = self.with.as_ref().map(|with| with.minus(&self.without));
        json!({
            "queue": self.queue,
            "day": self.date.to_string(),
            "basis": if self.generated { "generated" } else { "recorded" },
            "load": self.generated.then_some(self.load),
            "seeds": self.seeds,
            "change": { "staff": staff, "demand": self.change.demand },
            "learned": self.learned,
            "record": (!self.generated).then_some(&self.record),
            "drawn": self.drawn,
            "without": self.without,
            "with": self.with,
            "difference": difference,
            "notes": self.notes(),
        })
    }
}
