//! What PostgreSQL's errors mean to a caller.

use crate::StoreError;
use tokio_postgres::error::SqlState;

/// Why a transaction came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another writer was faster: running it again will see what they wrote.
    Raced(String),
    /// What is to be unique is there already. Running it again shows who was faster, or that it stays so.
    Taken(String),
    /// Somebody has kept a lock for longer than is waited for.
    Locked(String),
    /// The disk of the database is full.
    Full,
    /// The database takes no writes at the moment: a stand-by, or one that was set read-only.
    ReadOnly,
    /// The connection is gone, or never came about; whether a commit arrived is not known.
    Lost(String),
    /// The database refused a statement.
    Refused(String),
}

/// Raised by our own statements when a row is not what it was read as (`changed_meanwhile` in the migrations).
const CHANGED_MEANWHILE: &str = "RB001";

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            return Fault::Lost(spelled(&error));
        };
        let code = told.code();
        // The text names constraints and columns; the row itself stands in `detail`, which is never told.
        let text = format!("{} ({})", told.message(), code.code());
        let raced = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        if raced.contains(code) || code.code() == CHANGED_MEANWHILE {
            return Fault::Raced(text);
        }
        if *code == SqlState::UNIQUE_VIOLATION {
            return Fault::Taken(text);
        }
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            return Fault::Locked(text);
        }
        let gone = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::QUERY_CANCELED,
        ];
        if gone.contains(code) || code.code().starts_with("08") {
            return Fault::Lost(text);
        }
        if *code == SqlState::DISK_FULL {
            return Fault::Full;
        }
        if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return Fault::ReadOnly;
        }
        Fault::Refused(text)
    }
}

/// An error with its causes, without what the database quotes of a row.
fn spelled(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl Fault {
    pub fn error(&self) -> StoreError {
        match self {
            // It was run again as often as makes sense, and stayed so.
            Fault::Taken(why) => StoreError::Conflict {
                field: None,
                code: "constraint",
                detail: why.clone(),
            },
            // This passes: whoever has something to say that must not be lost says it again.
            Fault::Raced(_) | Fault::Locked(_) => StoreError::Busy,
            Fault::Full => StoreError::Full,
            Fault::ReadOnly => StoreError::Failed(
                "the database is read-only: it is a stand-by, or was set so".to_owned(),
            ),
            Fault::Lost(why) | Fault::Refused(why) => StoreError::Failed(why.clone()),
        }
    }

    /// Whether the connection is not to be used again.
    pub fn ends_the_session(&self) -> bool {
        match self {
            Fault::Lost(_) | Fault::ReadOnly => true,
            Fault::Raced(_)
            | Fault::Taken(_)
            | Fault::Locked(_)
            | Fault::Full
            | Fault::Refused(_) => false,
        }
    }

    /// Whether running it again may go well.
    pub fn may_be_run_again(&self) -> bool {
        match self {
            Fault::Raced(_) | Fault::Taken(_) => true,
            Fault::Locked(_)
            | Fault::Lost(_)
            | Fault::ReadOnly
            | Fault::Full
            | Fault::Refused(_) => false,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Raced(why) | Fault::Locked(why) => f.write_str(why),
            Fault::Taken(_)
            | Fault::Full
            | Fault::ReadOnly
            | Fault::Lost(_)
            | Fault::Refused(_) => self.error().fmt(f),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.error()
    }
}
