//! Learned figures under their public names: seen, set, frozen, forgotten, and kept between runs.

use ringback_scheduling::plan::{Learned, Mean};
use ringback_store::{Figure, FigureChange};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What was learned about a queue, and what of it is not learned any further. Its stored form is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub learned: Learned,
    #[serde(default)]
    frozen: BTreeSet<String>,
}

type Place = fn(&mut Learned) -> &mut Mean;

/// Every figure with its name and the values that make sense for it.
const FIGURES: [(&str, Place, f64); 4] = [
    (
        "handling_seconds",
        |learned| &mut learned.handling,
        14_400.0,
    ),
    ("first_reach", |learned| &mut learned.first_reach, 1.0),
    ("later_reach", |learned| &mut learned.later_reach, 1.0),
    ("wasted_seconds", |learned| &mut learned.wasted, 600.0),
];

impl Figures {
    pub fn new(learned: Learned) -> Figures {
        Figures {
            learned,
            frozen: BTreeSet::new(),
        }
    }

    /// What was stored, for a plan whose own figures are `fresh`: where the plan itself was changed since, its new
    /// figure counts, unless somebody froze the old one.
    pub fn restored(mut stored: Figures, mut fresh: Learned) -> Figures {
        for (name, place, _) in FIGURES {
            let new = *place(&mut fresh);
            let old = place(&mut stored.learned);
            if old.prior() != new.prior() && !stored.frozen.contains(name) {
                *old = new;
            }
        }
        stored
    }

    /// Takes over what a desk has learned, but for what is frozen.
    pub fn follow(&mut self, mut learned: Learned) {
        for (name, place, _) in FIGURES {
            if self.frozen.contains(name) {
                *place(&mut learned) = *place(&mut self.learned);
            }
        }
        self.learned = learned;
    }

    pub fn shown(&self) -> Vec<Figure> {
        let mut learned = self.learned.clone();
        FIGURES
            .iter()
            .map(|(name, place, _)| {
                let mean = *place(&mut learned);
                Figure {
                    name,
                    value: mean.value(),
                    prior: mean.prior(),
                    observations: mean.observations(),
                    frozen: self.frozen.contains(*name),
                }
            })
            .collect()
    }

    /// Changes figures; a name that is none, or a value that cannot be, changes nothing and is told.
    pub fn change(&mut self, changes: &[FigureChange]) -> Result<(), String> {
        let mut changed = self.clone();
        for change in changes {
            let Some((name, place, most)) = FIGURES.iter().find(|(name, ..)| *name == change.name)
            else {
                let names: Vec<&str> = FIGURES.iter().map(|(name, ..)| *name).collect();
                return Err(format!(
                    "{} is not a learned figure; there are {}",
                    change.name,
                    names.join(", ")
                ));
            };
            if let Some(value) = change.value {
                if !(value > 0.0 && value <= *most) {
                    return Err(format!("{name} must be above 0 and at most {most}"));
                }
                let mean = place(&mut changed.learned);
                *mean = mean.with_value(value);
            }
            match change.frozen {
                Some(true) => {
                    changed.frozen.insert((*name).to_owned());
                }
                Some(false) => {
                    changed.frozen.remove(*name);
                }
                None => {}
            }
        }
        *self = changed;
        Ok(())
    }
}
