//! A route that other nodes use too.

use crate::town::Town;
use async_trait::async_trait;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::outcome::Outcome;
use ringback_callbacks::wire_time::plus;
use ringback_channels::fake::Script;
use ringback_channels::route::RouteLimits;
use ringback_channels::{
    Channel, Channels, Order, Places, Progress, RouteHealth, RouteUse, Unready,
};
use ringback_dispatch::Settings;
use ringback_scheduling::shares::{Part, grant};
use ringback_store::{RouteShare, ShareOrder, StoreError};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn part(share: &RouteShare, granted: u32) -> Part {
    Part {
        granted,
        used: share.used,
        wanted: share.wanted,
    }
}

/// Another node has the one place of a route and uses it for nothing. When it is asked for, it learns of that no sooner
/// than the call has been put aside.
#[tokio::test]
async fn a_single_place_comes_to_the_node_that_has_a_call_for_it() {
    // Which of the two is ours, and whether the other always wants the place.
    for (ours, wanted) in [(0, 0), (1, 0), (0, 1)] {
        let town = Town::new().await;
        town.calls
            .limit(RouteLimits::new(1.0, 1).expect("sensible limits"));
        let theirs = 1 - ours;
        let mut parts = [Part::default(); 2];
        parts[theirs].granted = 1;
        parts[theirs].wanted = wanted;
        let mut in_a_row = 0;
        town.store.shares(move |order| {
            let share = &order.routes[0];
            parts[ours] = part(share, parts[ours].granted);
            parts[ours].granted = grant(share.limit, &parts, ours);
            in_a_row = if share.wanted > 0 { in_a_row + 1 } else { 0 };
            if in_a_row == 0 || in_a_row == 3 {
                parts[theirs].granted = grant(share.limit, &parts, theirs);
            }
            Ok(Some(vec![parts[ours].granted]))
        });
        let dispatcher = town.start(Settings::default());
        town.clock.advance(Duration::from_millis(300)).await;
        for number in 0..3 {
            town.book(number).await;
            town.clock.advance(Duration::from_secs(40)).await;
            let called = town.called(|_| true).len();
            assert_eq!(called, number as usize + 1, "{ours} {wanted}");
        }
        dispatcher.stop_now().await;
    }
}

/// Every question that a node asks about a route for ten calls, all of which it is granted.
fn whole(town: &Town) -> Arc<Mutex<Vec<ShareOrder>>> {
    town.calls
        .limit(RouteLimits::new(10.0, 10).expect("sensible limits"));
    let asked: Arc<Mutex<Vec<ShareOrder>>> = Arc::default();
    let asks = asked.clone();
    town.store.shares(move |order| {
        asks.lock().expect("no panic").push(order.clone());
        Ok(Some(vec![10]))
    });
    asked
}

/// What was said last of use, of what is wanted, and whether it is closed.
fn last(asked: &Mutex<Vec<ShareOrder>>) -> (u32, u32, bool) {
    let asked = asked.lock().expect("no panic");
    let share = &asked.last().expect("a question").routes[0];
    (share.used, share.wanted, share.closed)
}

/// A node that is being stopped begins nothing: its part is for the others, but for the calls that go on.
#[tokio::test]
async fn a_node_that_drains_keeps_what_is_in_use() {
    let town = Town::new().await;
    let asked = whole(&town);
    town.calls.otherwise(Script::talks(
        Duration::from_secs(1),
        Duration::from_secs(20),
    ));
    let dispatcher = Arc::new(town.start(Settings::default()));
    town.clock.advance(Duration::from_millis(300)).await;
    for number in 0..2 {
        town.book(number).await;
    }
    town.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(last(&asked), (2, 2, false));
    let draining = {
        let dispatcher = dispatcher.clone();
        tokio::spawn(async move { dispatcher.drain(Duration::from_secs(60)).await })
    };
    town.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(last(&asked), (2, 2, true));
    town.clock.advance(Duration::from_secs(60)).await;
    draining.await.expect("drained");
    let all = asked.lock().expect("no panic");
    assert_eq!(all.last().map(|order| order.lasts), Some(Duration::ZERO));
}

/// Nor does a node begin anything whose clock is wrong.
#[tokio::test]
async fn a_node_whose_clock_is_wrong_leaves_its_part_to_the_others() {
    let town = Town::new().await;
    let asked = whole(&town);
    let (right, wrong) = (town.clock.clone(), town.clock.clone());
    let minute = Duration::from_secs(60);
    town.store.shows(move || plus(wrong.now(), minute));
    let dispatcher = town.start(Settings::default());
    town.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(last(&asked), (0, 0, true));
    town.store.shows(move || right.now());
    town.clock.advance(Duration::from_secs(40)).await;
    assert_eq!(last(&asked), (0, 0, false));
    dispatcher.stop_now().await;
}

/// The store may have dealt out what this node does not use, and nobody has told it.
#[tokio::test]
async fn nothing_is_begun_on_a_part_that_may_be_gone() {
    let town = Town::new().await;
    let asked = whole(&town);
    let dispatcher = town.start(Settings::default());
    town.clock.advance(Duration::from_millis(300)).await;
    town.book(1).await;
    town.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(town.called(|_| true).len(), 1);
    town.store
        .shares(|_| Err(StoreError::Failed("the answer is lost".to_owned())));
    town.clock.advance(Duration::from_secs(1)).await;
    // As many as were in use when that was asked, and this one is in use.
    for number in 2..5 {
        town.book(number).await;
    }
    town.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(town.called(|_| true).len(), 1);
    town.store.shares(move |order| {
        asked.lock().expect("no panic").push(order.clone());
        Ok(Some(vec![10]))
    });
    town.clock.advance(Duration::from_secs(10)).await;
    assert_eq!(town.called(|_| true).len(), 4);
    dispatcher.stop_now().await;
}

#[tokio::test]
async fn who_has_the_store_alone_uses_its_routes_whole() {
    let town = Town::new().await;
    town.calls
        .limit(RouteLimits::new(10.0, 4).expect("sensible limits"));
    let dispatcher = town.start(Settings::default());
    town.clock.advance(Duration::from_millis(300)).await;
    for number in 0..4 {
        town.book(number).await;
    }
    town.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(town.called(|_| true).len(), 4);
    dispatcher.stop_now().await;
}

/// A channel with a call that does not end.
struct Stuck;

#[async_trait]
impl Channel for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn serves(&self, _: ResponseType) -> bool {
        false
    }

    fn reserve(&self, _: &Order) -> Result<Places, Unready> {
        Err(Unready::NoRoute)
    }

    async fn prepare(&self, _: &Order, _: &Places) -> Value {
        Value::Null
    }

    async fn attempt(
        &self,
        _: Order,
        _: Places,
        _: mpsc::Sender<Progress>,
        _: CancellationToken,
    ) -> Outcome {
        std::future::pending().await
    }

    async fn end_orphan(&self, _: Value) -> Option<Outcome> {
        None
    }

    fn routes(&self) -> Vec<RouteHealth> {
        Vec::new()
    }

    fn demand(&self) -> Vec<RouteUse> {
        vec![RouteUse {
            route: "stuck".to_owned(),
            limit: 1,
            used: 1,
            wanted: 1,
            closed: false,
        }]
    }

    async fn shutdown(&self) {}
}

#[tokio::test]
async fn a_part_is_not_given_back_under_a_call_that_goes_on() {
    for (channels, given_back) in [(0, true), (1, false)] {
        let town = Town::new().await;
        let asked = whole(&town);
        let mut all: Vec<Arc<dyn Channel>> = vec![town.calls.clone()];
        all.extend((0..channels).map(|_| Arc::new(Stuck) as Arc<dyn Channel>));
        let dispatcher = town.start_with(Channels(all), Settings::default());
        town.clock.advance(Duration::from_secs(2)).await;
        dispatcher.stop_now().await;
        let asked = asked.lock().expect("no panic");
        let last = asked.last().expect("a question").lasts;
        assert_eq!(last == Duration::ZERO, given_back);
    }
}
