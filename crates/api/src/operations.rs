//! What operators and newcomers ask for: health, metrics, routes, the document and its page.

pub mod document;
pub mod health;
pub mod metrics;
pub mod pages;
pub mod routes;
