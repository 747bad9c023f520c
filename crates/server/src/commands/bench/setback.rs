//! Why something could not be measured.

/// Why something could not be measured, in plain words.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Setback {
    /// A program or a database that this measurement needs is not here. Nothing is broken.
    #[error("{0}")]
    Absent(String),
    /// What was to be measured began before all was ready for it.
    #[error("the burst was due before all of it was booked")]
    Late,
    #[error("{0}")]
    Broken(String),
}

impl Setback {
    /// For `map_err`: what was being done when it failed.
    pub fn while_doing<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Setback {
        move |error| Setback::Broken(format!("{what}: {error}"))
    }
}
