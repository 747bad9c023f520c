//! What the telephones saw: the count that nobody else keeps.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// One thing that happened at a telephone. `line` is the number or user that rang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A call came in and got as far as a person's telephone.
    Rang {
        line: String,
        call_id: String,
        attempt: Option<String>,
    },
    /// The exchange turned a call away before any telephone: out of order, or credentials asked for.
    TurnedAway {
        line: String,
        code: u16,
        attempt: Option<String>,
    },
    Answered {
        line: String,
        call_id: String,
    },
    Refused {
        line: String,
        call_id: String,
        code: u16,
    },
    /// The caller gave up while it rang.
    Cancelled {
        line: String,
        call_id: String,
    },
    /// From now on the two can hear each other; `with` is where the other's media comes from.
    Talking {
        line: String,
        call_id: String,
        with: SocketAddr,
    },
    HungUp {
        line: String,
        call_id: String,
        by: HungUpBy,
    },
    /// The media of a call that ended.
    Media(MediaRecord),
    /// The registrar took the telephone's address (or its removal, with `expires` 0).
    Registered {
        line: String,
        expires: u32,
    },
    RegistrationFailed {
        line: String,
        code: u16,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HungUpBy {
    ThisPhone,
    OtherSide,
}

/// RTP of one call, as one telephone counted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRecord {
    pub line: String,
    pub attempt: Option<String>,
    pub local: SocketAddr,
    pub sent: u64,
    /// Packets by where they came from.
    pub received: BTreeMap<SocketAddr, u64>,
}

/// Shared by everything at one socket; clones look into the same book.
#[derive(Clone)]
pub struct Witness {
    book: Arc<Mutex<Book>>,
    tell: broadcast::Sender<Happening>,
}

#[derive(Default)]
struct Book {
    rings_by_attempt: BTreeMap<String, u32>,
    rings_by_line: BTreeMap<String, u32>,
    media: Vec<MediaRecord>,
    /// Legs that are neither ended nor refused.
    open: u32,
    malformed: u64,
}

impl Default for Witness {
    fn default() -> Self {
        Witness {
            book: Arc::default(),
            tell: broadcast::Sender::new(LISTENERS_MAY_LAG),
        }
    }
}

impl Witness {
    /// Everything that happens from now on. A listener that lags far behind loses the oldest; the counts
    /// below never do.
    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.tell.subscribe()
    }

    /// How often a person's telephone rang, by the attempt id the call carried. More than one for an
    /// attempt is a double ring.
    pub fn rings_by_attempt(&self) -> BTreeMap<String, u32> {
        self.book().rings_by_attempt.clone()
    }

    pub fn rings_of(&self, line: &str) -> u32 {
        self.book().rings_by_line.get(line).copied().unwrap_or(0)
    }

    pub fn media(&self) -> Vec<MediaRecord> {
        self.book().media.clone()
    }

    /// Calls that are ringing or talking at this moment.
    pub fn open_calls(&self) -> u32 {
        self.book().open
    }

    /// Datagrams that were no SIP message.
    pub fn malformed(&self) -> u64 {
        self.book().malformed
    }

    pub(crate) fn rang(&self, line: &str, call_id: &str, attempt: Option<&str>) {
        {
            let mut book = self.book();
            book.open += 1;
            if book.rings_by_attempt.len() < MOST_COUNTED {
                let attempt = attempt.unwrap_or("without an attempt").to_owned();
                *book.rings_by_attempt.entry(attempt).or_default() += 1;
            }
            if book.rings_by_line.len() < MOST_COUNTED {
                *book.rings_by_line.entry(line.to_owned()).or_default() += 1;
            }
        }
        self.tell(Happening::Rang {
            line: line.to_owned(),
            call_id: call_id.to_owned(),
            attempt: attempt.map(str::to_owned),
        });
    }

    pub(crate) fn closed(&self) {
        let mut book = self.book();
        book.open = book.open.saturating_sub(1);
    }

    pub(crate) fn media_ended(&self, record: MediaRecord) {
        {
            let mut book = self.book();
            if book.media.len() < MOST_COUNTED {
                book.media.push(record.clone());
            }
        }
        self.tell(Happening::Media(record));
    }

    pub(crate) fn not_sip(&self) {
        self.book().malformed += 1;
    }

    pub(crate) fn tell(&self, happening: Happening) {
        // Nobody listening is no fault.
        let _ = self.tell.send(happening);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LISTENERS_MAY_LAG: usize = 4096;
const MOST_COUNTED: usize = 1_000_000;
