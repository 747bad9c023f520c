//! Windows in local time that cannot be resolved at the start keep nobody else waiting.

use crate::town::Town;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::ids::TenantId;
use ringback_callbacks::lifecycle::Command;
use ringback_dispatch::{Settings, resolve_windows};
use ringback_store::{StoreError, WindowsSeen};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn damaged() -> StoreError {
    StoreError::Damaged {
        table: "customers",
        column: "doc",
        detail: "not a customer".to_owned(),
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the database is gone".to_owned())
}

fn settings() -> Settings {
    Settings {
        local_time_of: Some(TenantId::default()),
        ..Settings::default()
    }
}

#[tokio::test]
async fn one_that_cannot_be_resolved_is_stepped_over() {
    let town = Town::new().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(town.book(number).await);
    }
    let (seen, bad) = (ids.clone(), ids[1]);
    town.store.sees(move || {
        Ok(WindowsSeen {
            moved: seen.clone(),
            next: None,
        })
    });
    let resolved = Arc::new(Mutex::new(Vec::new()));
    let asked = resolved.clone();
    town.store.refuses(move |order| {
        if !matches!(order.command, Command::ResolveAgain) {
            return None;
        }
        asked.lock().expect("no panic").push(order.callback);
        (order.callback == bad).then(damaged)
    });
    let tenant = TenantId::default();
    let moved = resolve_windows(town.store.as_ref(), &tenant, town.clock.now()).await;
    assert_eq!(moved.expect("all that can be moved"), 2);
    assert_eq!(*resolved.lock().expect("no panic"), ids);

    let dispatcher = town.start(settings());
    town.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(town.called(|_| true).len(), 3);
    dispatcher.stop_now().await;
}

#[tokio::test]
async fn a_look_that_never_succeeds_does_not_stop_the_clock() {
    let town = Town::new().await;
    town.book(1).await;
    town.store.sees(|| Err(damaged()));
    let dispatcher = town.start(settings());
    town.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(town.called(|_| true).len(), 1);
    dispatcher.stop_now().await;
}

#[tokio::test]
async fn a_store_that_fails_for_a_moment_is_no_reason_to_step_over_anybody() {
    let town = Town::new().await;
    let id = town.book(1).await;
    town.store.sees(move || {
        Ok(WindowsSeen {
            moved: vec![id],
            next: None,
        })
    });
    town.store
        .refuses(|order| matches!(order.command, Command::ResolveAgain).then(gone));
    let tenant = TenantId::default();
    let moved = resolve_windows(town.store.as_ref(), &tenant, town.clock.now()).await;
    assert!(matches!(moved, Err(StoreError::Failed(_))), "{moved:?}");
}

/// A store that cannot be asked just now is asked again before anybody is called at an hour that may be wrong.
#[tokio::test]
async fn nobody_is_called_before_it_is_known_when() {
    let town = Town::new().await;
    town.book(1).await;
    town.store.sees(|| Err(gone()));
    let dispatcher = town.start(settings());
    town.clock.advance(Duration::from_secs(10)).await;
    assert_eq!(town.called(|_| true).len(), 0);
    town.store.sees(|| Ok(WindowsSeen::default()));
    town.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(town.called(|_| true).len(), 1);
    dispatcher.stop_now().await;
}
