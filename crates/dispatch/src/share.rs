//! Keeps this node to its part of what every route may carry, where other nodes use the same routes.
//!
//! Once a second the node tells the store what it uses and wants, and is told what it may use. What it does not use may
//! be another's from the moment at which the store is told, so no call is begun until the answer is there. A store that only
//! one node can be at says so at the first question, and the routes are used whole.

use crate::Parts;
use jiff::Timestamp;
use ringback_callbacks::wire_time::plus;
use ringback_channels::RouteUse;
use ringback_store::{RouteShare, ShareOrder, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

/// Until when the parts that were granted last may be used; `None`: for ever, because nobody else is there.
pub async fn first(parts: &Parts) -> Option<Timestamp> {
    let now = parts.clock.now();
    match ask(parts, lasting(parts)).await {
        Ok(true) => Some(plus(now, parts.settings.lease)),
        Ok(false) => None,
        Err(error) => {
            tracing::error!(error = %error, "the limits of the routes could not be shared: no route is used");
            give_up(parts);
            Some(now)
        }
    }
}

pub async fn keep(parts: Arc<Parts>, mut good_until: Timestamp) {
    let mut idle = false;
    loop {
        tokio::select! {
            biased;
            () = parts.ended.cancelled() => break,
            () = parts.clock.sleep_until(plus(parts.clock.now(), EVERY)) => {}
        }
        let now = parts.clock.now();
        match ask(&parts, lasting(&parts)).await {
            Ok(_) => {
                good_until = plus(now, parts.settings.lease);
                idle = false;
            }
            Err(error) => {
                parts.observer.store_failed();
                if now >= good_until && !idle {
                    tracing::error!(
                        error = %error,
                        "the limits of the routes could not be shared for as long as a claim holds: no route is used"
                    );
                    give_up(&parts);
                    idle = true;
                }
            }
        }
    }
    // Calls that could not be ended in time go on without this node until they are rescued: their part lapses.
    if demand(&parts).any(|demand| demand.used > 0) {
        return;
    }
    // Said so that the others need not wait for it to lapse; if it cannot be said, they wait.
    if let Err(error) = ask(&parts, Duration::ZERO).await {
        tracing::warn!(error = %error, "the parts of the routes' limits could not be given back");
    }
}

/// Longer than a claim: calls of a node that has died ring until somebody has rescued them.
fn lasting(parts: &Parts) -> Duration {
    parts.settings.lease * 2
}

/// Whether there is anything to share. From the question to its answer no call is begun.
async fn ask(parts: &Parts, lasts: Duration) -> Result<bool, StoreError> {
    // A node that begins no calls has no use for places: lent to it they would be nobody's.
    let idle = parts.draining.is_cancelled() || parts.out_of_step.load(Ordering::Relaxed);
    let routes: Vec<RouteShare> = demand(parts)
        .map(|demand| {
            let closed = demand.closed || idle;
            RouteShare {
                route: demand.route,
                limit: demand.limit,
                used: demand.used,
                wanted: if closed { demand.used } else { demand.wanted },
                closed,
            }
        })
        .collect();
    let asked: Vec<(String, u32)> = routes
        .iter()
        .map(|share| (share.route.clone(), share.limit))
        .collect();
    let order = ShareOrder {
        node: parts.node.clone(),
        lasts,
        routes,
    };
    let answer = parts.store.share_routes(order).await;
    for (index, (route, limit)) in asked.iter().enumerate() {
        let calls = match &answer {
            Ok(Some(granted)) => granted.get(index).copied(),
            Ok(None) => Some(*limit),
            // It may have been dealt out all the same.
            Err(_) => None,
        };
        grant(parts, route, calls);
    }
    answer.map(|granted| granted.is_some())
}

fn demand(parts: &Parts) -> impl Iterator<Item = RouteUse> {
    parts.channels.0.iter().flat_map(|channel| channel.demand())
}

fn give_up(parts: &Parts) {
    for demand in demand(parts) {
        grant(parts, &demand.route, Some(0));
    }
}

/// Names of routes are told apart over all channels.
fn grant(parts: &Parts, route: &str, calls: Option<u32>) {
    for channel in &parts.channels.0 {
        channel.grant(route, calls);
    }
}
