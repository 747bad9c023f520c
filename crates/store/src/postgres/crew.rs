//! Who may take a connection when there are fewer than are wanted.
//!
//! Threads have one of three duties. A duty without any connection is done by nobody, so each gets its first before any
//! takes its second, and a second one is given back to a duty that has lost its only one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Writes that must not wait behind others.
    Urgent,
    Writes,
    Reads,
}

const DUTIES: usize = 3;

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Connections, those that are just being made among them.
    taken: usize,
    connected: usize,
    /// It has none, and could not get one when it tried last.
    starved: bool,
}

#[derive(Debug, Default)]
struct State {
    duties: [Standing; DUTIES],
    closing: bool,
}

/// What the threads with connections of their own know of each other.
#[derive(Debug, Default)]
pub(super) struct Crew(Mutex<State>);

impl Crew {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread with the duty may try to connect now. It must say how it went.
    pub fn claim(&self, duty: Duty) -> bool {
        let mut state = self.lock();
        let everyone_has = state.duties.iter().all(|it| it.connected > 0);
        let own = &mut state.duties[duty as usize];
        let may = own.taken == 0 || everyone_has;
        own.taken += usize::from(may);
        may
    }

    pub fn connected(&self, duty: Duty) {
        let own = &mut self.lock().duties[duty as usize];
        own.connected += 1;
        own.starved = false;
    }

    /// It got none.
    pub fn refused(&self, duty: Duty) {
        let own = &mut self.lock().duties[duty as usize];
        own.taken -= 1;
        own.starved = own.connected == 0;
    }

    /// It has lost its connection, or given it back.
    pub fn parted(&self, duty: Duty) {
        let own = &mut self.lock().duties[duty as usize];
        own.taken -= 1;
        own.connected -= 1;
    }

    /// Whether the duty has nobody at work, nor anybody who is about to be.
    pub fn is_deserted(&self, duty: Duty) -> bool {
        self.lock().duties[duty as usize].taken == 0
    }

    /// Whether another duty needs a connection more than this one needs its last but one.
    pub fn has_to_spare(&self, duty: Duty) -> bool {
        let state = self.lock();
        state.duties[duty as usize].connected > 1 && state.duties.iter().any(|it| it.starved)
    }

    /// Nobody waits for a connection any more.
    pub fn close(&self) {
        self.lock().closing = true;
    }

    pub fn is_closing(&self) -> bool {
        self.lock().closing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Duty; DUTIES] = [Duty::Urgent, Duty::Writes, Duty::Reads];

    #[test]
    fn each_duty_gets_its_first_before_any_gets_its_second() {
        let crew = Crew::default();
        assert!(crew.claim(Duty::Writes));
        assert!(!crew.claim(Duty::Writes), "one is being made already");
        crew.connected(Duty::Writes);
        assert!(!crew.claim(Duty::Writes), "the others have none yet");
        for duty in [Duty::Urgent, Duty::Reads] {
            assert!(crew.claim(duty));
            assert!(
                !crew.claim(Duty::Writes),
                "a connection that is being made may be refused"
            );
            crew.connected(duty);
        }
        assert!(ALL.iter().all(|duty| crew.claim(*duty)));
    }

    #[test]
    fn a_refused_thread_leaves_its_turn_to_the_next() {
        let crew = Crew::default();
        assert!(crew.is_deserted(Duty::Reads));
        assert!(crew.claim(Duty::Reads));
        assert!(!crew.is_deserted(Duty::Reads));
        crew.refused(Duty::Reads);
        assert!(crew.is_deserted(Duty::Reads));
        assert!(crew.claim(Duty::Reads));
    }

    #[test]
    fn a_second_connection_is_given_back_to_who_has_none() {
        let crew = Crew::default();
        for duty in ALL {
            assert!(crew.claim(duty));
            crew.connected(duty);
        }
        assert!(crew.claim(Duty::Writes));
        crew.connected(Duty::Writes);
        crew.parted(Duty::Reads);
        assert!(!crew.has_to_spare(Duty::Writes), "it may get one yet");
        assert!(crew.claim(Duty::Reads));
        crew.refused(Duty::Reads);
        assert!(crew.has_to_spare(Duty::Writes));
        assert!(!crew.has_to_spare(Duty::Urgent), "it has only one");
        crew.parted(Duty::Writes);
        assert!(!crew.has_to_spare(Duty::Writes));
        assert!(!crew.claim(Duty::Writes), "the reads come first");
        assert!(crew.claim(Duty::Reads));
        crew.connected(Duty::Reads);
        assert!(crew.claim(Duty::Writes));
    }
}
