//! Which failures of the store pass by themselves.

use ringback_store::StoreError;

/// Whether asking again may help. What is wrong with one row stays wrong however often it is asked.
pub fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::Busy | StoreError::Full | StoreError::Failed(_) | StoreError::Closed => true,
        StoreError::NotFound(_)
        | StoreError::Refused(_)
        | StoreError::RevisionConflict { .. }
        | StoreError::IdempotencyMismatch
        | StoreError::Conflict { .. }
        | StoreError::NoPlace { .. }
        | StoreError::Damaged { .. }
        | StoreError::Configuration(_) => false,
    }
}
