//! What each node may use of a route's limits. The sums are made under one lock, by the pure arithmetic of
//! `ringback_scheduling::shares`.

use super::super::columns::get;
use super::super::locks;
use super::PgTables;
use crate::{Result, RouteShare, ShareOrder};
use ringback_scheduling::shares::{Part, grant};
use std::collections::BTreeMap;

/// The database's clock, because those of the nodes may differ.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl PgTables<'_> {
    pub(super) fn share(&self, order: &ShareOrder) -> Result<Vec<u32>> {
        self.lock(vec![locks::routes()])?;
        let lasts = i64::try_from(order.lasts.as_millis()).unwrap_or(i64::MAX);
        let node = order.node.name.as_str();
        if lasts == 0 {
            self.write(
                "DELETE FROM route_parts WHERE node = $1 AND boot = $2",
                &[&node, &order.node.boot],
            )?;
            return Ok(vec![0; order.routes.len()]);
        }
        // An earlier run of this node has no part any more: what it left ringing is being ended by this one. Nor has
        // it of a route that it neither uses nor can use: nobody is to leave something over for it.
        let without: Vec<&str> = order
            .routes
            .iter()
            .filter(|share| has_no_part(share))
            .map(|share| share.route.as_str())
            .collect();
        self.write(
            &format!(
                "DELETE FROM route_parts
                 WHERE lapses_at <= {NOW} OR (node = $1 AND (boot <> $2 OR route = ANY($3)))"
            ),
            &[&node, &order.node.boot, &without],
        )?;
        let mut held: BTreeMap<String, BTreeMap<String, Part>> = BTreeMap::new();
        for row in self.ask(
            "SELECT route, node, granted, used, wanted FROM route_parts",
            &[],
        )? {
            let (route, holder): (String, String) = (get(&row, 0)?, get(&row, 1)?);
            let part = Part {
                granted: number(get(&row, 2)?),
                used: number(get(&row, 3)?),
                wanted: number(get(&row, 4)?),
            };
            held.entry(route).or_default().insert(holder, part);
        }
        let mut granted = Vec::with_capacity(order.routes.len());
        for share in &order.routes {
            let holders = held.entry(share.route.clone()).or_default();
            granted.push(part_of(share, node, holders));
        }
        let shares = order.routes.iter().zip(&granted);
        let parts: Vec<(&RouteShare, i64)> = shares
            .filter(|(share, _)| !has_no_part(share))
            .map(|(share, calls)| (share, i64::from(*calls)))
            .collect();
        let figures = |figure: fn(&RouteShare) -> u32| -> Vec<i64> {
            parts
                .iter()
                .map(|(share, _)| i64::from(figure(share)))
                .collect()
        };
        let routes: Vec<&str> = parts
            .iter()
            .map(|(share, _)| share.route.as_str())
            .collect();
        let (used, wanted) = (figures(|share| share.used), figures(|share| share.wanted));
        let parts: Vec<i64> = parts.iter().map(|(_, calls)| *calls).collect();
        self.write(
            &format!(
                "INSERT INTO route_parts (route, node, boot, granted, used, wanted, lapses_at)
                 SELECT u.route, $1, $2, u.granted, u.used, u.wanted, {NOW} + $3
                 FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) AS u(route, granted, used, wanted)
                 ON CONFLICT (route, node) DO UPDATE SET boot = excluded.boot, granted = excluded.granted,
                     used = excluded.used, wanted = excluded.wanted, lapses_at = excluded.lapses_at"
            ),
            &[&node, &order.node.boot, &lasts, &routes, &parts, &used, &wanted],
        )?;
        Ok(granted)
    }
}

/// Nothing is in use, and nothing can be.
fn has_no_part(share: &RouteShare) -> bool {
    share.closed && share.used == 0
}

/// The part of one node, and its place among the holders noted for what follows.
fn part_of(share: &RouteShare, node: &str, holders: &mut BTreeMap<String, Part>) -> u32 {
    if share.closed {
        return share.used;
    }
    let mine = holders.entry(node.to_owned()).or_default();
    mine.used = share.used;
    mine.wanted = share.wanted;
    let place = holders
        .keys()
        .position(|holder| holder == node)
        .unwrap_or(0);
    let parts: Vec<Part> = holders.values().copied().collect();
    grant(share.limit, &parts, place)
}

/// A CHECK keeps it from being less than nothing.
fn number(figure: i64) -> u32 {
    u32::try_from(figure).unwrap_or(u32::MAX)
}
