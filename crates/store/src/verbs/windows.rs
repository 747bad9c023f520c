//! New rules of local time: which windows mean other instants by them.

use super::House;
use crate::rows::callback_of;
use crate::tables::Tables;
use crate::{Result, RulesMark, WindowsSeen};
use ringback_callbacks::ids::TenantId;

pub(crate) fn look(
    tables: &dyn Tables,
    house: &House,
    tenant: &TenantId,
    after: Option<&RulesMark>,
    limit: usize,
) -> Result<WindowsSeen> {
    let almanac = &house.options.almanac;
    let rows = tables.other_editions(tenant, almanac.edition(), after, limit)?;
    let mut seen = WindowsSeen::default();
    let mut standing = Vec::new();
    for (_, doc) in &rows {
        match callback_of(doc) {
            Ok(callback) if callback.moved_by(almanac).is_some() => {
                seen.moved.push(callback.interaction.id);
            }
            Ok(callback) => standing.push(callback),
            // The clock sets it aside; it must not keep the others from their hour.
            Err(error) => {
                tracing::error!(error = %error, "a callback cannot be read, and its window is left as it is");
            }
        }
    }
    let confirmed: Vec<_> = standing
        .iter()
        .map(|callback| (callback, callback.local.as_ref().map(|_| almanac.edition())))
        .collect();
    if !confirmed.is_empty() {
        tables.confirm_editions(tenant, &confirmed)?;
    }
    if rows.len() >= limit {
        seen.next = rows.into_iter().next_back().map(|(mark, _)| mark);
    }
    Ok(seen)
}
