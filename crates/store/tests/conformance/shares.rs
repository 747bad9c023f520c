//! The limits of routes that several nodes use.

use crate::town::*;
use futures::future::join_all;
use ringback_store::{RouteShare, ShareOrder};
use std::time::Duration;

/// What a node is told it may use of a route for ten calls; `None` where one node has the store for itself.
async fn part(town: &Town, name: &str, used: u32, wanted: u32, lasts: Duration) -> Option<u32> {
    let share = RouteShare {
        route: "trunk".to_owned(),
        limit: 10,
        used,
        wanted,
        closed: false,
    };
    ask(town, name, share, lasts).await
}

/// The same where it can begin nothing.
async fn closed(town: &Town, name: &str, used: u32) -> Option<u32> {
    let share = RouteShare {
        route: "trunk".to_owned(),
        limit: 10,
        used,
        wanted: used,
        closed: true,
    };
    ask(town, name, share, LONG).await
}

async fn ask(town: &Town, name: &str, share: RouteShare, lasts: Duration) -> Option<u32> {
    let order = ShareOrder {
        node: node(name),
        lasts,
        routes: vec![share],
    };
    let granted = town.store.share_routes(order).await.expect("an answer")?;
    assert_eq!(granted.len(), 1);
    Some(granted[0])
}

const LONG: Duration = Duration::from_secs(600);

pub async fn parts_of_a_route_never_exceed_it(town: &Town) {
    let Some(first) = part(town, "one", 0, 0, LONG).await else {
        // One node alone: nothing is shared, and nobody may be told otherwise.
        assert_eq!(part(town, "two", 0, 0, LONG).await, None);
        return;
    };
    assert_eq!(first, 10, "alone it has all");
    assert_eq!(
        part(town, "two", 0, 3, LONG).await,
        Some(0),
        "nothing is free"
    );
    assert_eq!(
        part(town, "one", 6, 6, LONG).await,
        Some(7),
        "what is in use stays, and half of what nobody wants"
    );
    assert_eq!(part(town, "two", 0, 3, LONG).await, Some(3));
    assert_eq!(part(town, "one", 2, 9, LONG).await, Some(7));
    // It goes, and says so.
    assert_eq!(part(town, "two", 0, 0, Duration::ZERO).await, Some(0));
    assert_eq!(part(town, "one", 2, 9, LONG).await, Some(10));
}

pub async fn what_a_node_cannot_use_is_for_the_others(town: &Town) {
    let Some(first) = part(town, "one", 3, 3, LONG).await else {
        return;
    };
    assert_eq!(first, 10);
    assert_eq!(closed(town, "one", 3).await, Some(3), "what is in use");
    assert_eq!(part(town, "two", 0, 9, LONG).await, Some(7));
    assert_eq!(closed(town, "one", 0).await, Some(0));
    // Nothing is left over for it, although nobody wants anything.
    assert_eq!(part(town, "two", 0, 0, LONG).await, Some(10));
    assert_eq!(closed(town, "one", 0).await, Some(0));
    assert_eq!(part(town, "two", 0, 0, LONG).await, Some(10));
    // It can be used again: half of what nobody wants.
    assert_eq!(part(town, "one", 0, 0, LONG).await, Some(0));
    assert_eq!(part(town, "two", 0, 0, LONG).await, Some(5));
    assert_eq!(part(town, "one", 0, 0, LONG).await, Some(5));
}

pub async fn a_node_that_says_nothing_loses_its_part(town: &Town) {
    let blink = Duration::from_millis(50);
    let Some(_) = part(town, "one", 5, 5, blink).await else {
        return;
    };
    // By the database's clock, which no test can turn.
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while part(town, "two", 0, 10, LONG).await != Some(10) {
        assert!(
            std::time::Instant::now() < until,
            "the part of the silent node is still held"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn many_at_once_never_more_than_the_limit(town: &Town) {
    let asks = (0..16).map(|number| {
        let name = format!("node-{number}");
        async move { part(town, &name, 0, 10, LONG).await }
    });
    let mut held = 0;
    let mut shared = 0;
    for granted in join_all(asks).await.into_iter().flatten() {
        held += granted;
        shared += 1;
    }
    assert!(
        shared == 0 || (shared == 16 && held == 10),
        "{shared} hold {held}"
    );
}
