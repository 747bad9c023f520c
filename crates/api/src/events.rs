//! `/v1/events`: everything that happens to a tenant's callbacks.

pub mod follow;
