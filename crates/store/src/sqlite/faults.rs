//! What SQLite's errors mean to a caller, and which of them leave nothing to be trusted.

use crate::StoreError;
use rusqlite::ErrorCode;

/// Why a whole group of jobs was lost: told to each of its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Full,
    Busy,
    Failed(String),
}

impl Lost {
    pub fn why(error: &rusqlite::Error) -> Lost {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Lost::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Lost::Busy,
            Some(_) | None => Lost::Failed(error.to_string()),
        }
    }

    /// The same, from an error that has already been translated; `None` if it is not the database's fault.
    pub fn met(error: &StoreError) -> Option<Lost> {
        match error {
            StoreError::Full => Some(Lost::Full),
            StoreError::Busy => Some(Lost::Busy),
            StoreError::Failed(why) => Some(Lost::Failed(why.clone())),
            StoreError::NotFound(_)
            | StoreError::Refused(_)
            | StoreError::RevisionConflict { .. }
            | StoreError::IdempotencyMismatch
            | StoreError::Conflict { .. }
            | StoreError::NoPlace { .. }
            | StoreError::Damaged { .. }
            | StoreError::Configuration(_)
            | StoreError::Closed => None,
        }
    }

    pub fn error(&self) -> StoreError {
        match self {
            Lost::Full => StoreError::Full,
            Lost::Busy => StoreError::Busy,
            Lost::Failed(why) => StoreError::Failed(why.clone()),
        }
    }
}

/// After a failed write or sync the kernel may have dropped the page and report success the next time:
/// what is on the disk is not known any more.
pub(super) fn is_input_output(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::SystemIoFailure))
}

/// A rule of the schema said no.
pub(super) fn is_constraint(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation)
    )
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if is_constraint(&error) {
            // Nothing was written, and that is certain; SQLite's text names columns, never values.
            return StoreError::Conflict {
                field: None,
                code: "constraint",
                detail: error.to_string(),
            };
        }
        Lost::why(&error).error()
    }
}
