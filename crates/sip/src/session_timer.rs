//! RFC 4028: who refreshes the session, when, and when the other side has been silent for too long.

use std::time::{Duration, Instant};

/// `Session-Expires: 1800;refresher=uac` taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionExpires {
    pub(crate) interval: Duration,
    pub(crate) refresher: Option<Refresher>,
}

/// The roles are those of the request that set the timer: `uac` sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresher {
    Uac,
    Uas,
}

impl Refresher {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        }
    }
}

pub(crate) fn parse(value: &str) -> Option<SessionExpires> {
    let mut parts = value.split(';').map(str::trim);
    let seconds: u64 = parts.next()?.parse().ok().filter(|s| *s > 0)?;
    let refresher = parts.find_map(|p| {
        let (name, word) = p.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("refresher") {
            return None;
        }
        [Refresher::Uac, Refresher::Uas]
            .into_iter()
            .find(|r| r.word().eq_ignore_ascii_case(word.trim()))
    });
    Some(SessionExpires {
        interval: Duration::from_secs(seconds.min(86_400)),
        refresher,
    })
}

/// The running timer of one dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    pub(crate) interval: Duration,
    pub(crate) we_refresh: bool,
    due: Instant,
    expires: Instant,
}

impl SessionTimer {
    pub(crate) fn start(interval: Duration, we_refresh: bool, now: Instant) -> SessionTimer {
        // The one who waits hangs up a little early (RFC 4028 §10), so that both ends agree it is over;
        // the one who refreshes does so at half time.
        let early = (interval / 3).min(Duration::from_secs(32));
        SessionTimer {
            interval,
            we_refresh,
            due: now + interval / 2,
            expires: now + (interval - early).max(Duration::from_secs(1)),
        }
    }

    /// The refresh or update went through: count again from now.
    pub(crate) fn restart(&mut self, now: Instant) {
        *self = SessionTimer::start(self.interval, self.we_refresh, now);
    }

    /// When to refresh next, if that is our part.
    pub(crate) fn refresh_at(&self) -> Option<Instant> {
        self.we_refresh.then_some(self.due)
    }

    /// A refresh was sent: do not send the next one before half an interval has gone.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.due = now + self.interval / 2;
    }

    pub(crate) fn expires_at(&self) -> Instant {
        self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_header() {
        for (text, seconds, refresher) in [
            ("1800", 1800, None),
            ("90 ; refresher = UAS", 90, Some(Refresher::Uas)),
            ("6;foo=bar;refresher=uac", 6, Some(Refresher::Uac)),
            ("99999999;refresher=nobody", 86_400, None),
        ] {
            let read = parse(text).unwrap();
            assert_eq!(
                (read.interval.as_secs(), read.refresher),
                (seconds, refresher),
                "{text}"
            );
        }
        for text in ["", "x", "0", "-5", ";refresher=uac"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_refresher_acts_at_half_time_and_the_other_before_the_end() {
        let now = Instant::now();
        let ours = SessionTimer::start(Duration::from_secs(1800), true, now);
        assert_eq!(ours.refresh_at(), Some(now + Duration::from_secs(900)));
        assert_eq!(ours.expires_at(), now + Duration::from_secs(1768));
        let theirs = SessionTimer::start(Duration::from_secs(90), false, now);
        assert_eq!(theirs.refresh_at(), None);
        assert_eq!(theirs.expires_at(), now + Duration::from_secs(60));
    }
}
