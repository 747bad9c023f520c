//! How many bookings a second are answered 201, that is: are on the disk.

use super::figures::Rate;
use super::ground::{Ground, Setback, number};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Books with so many clients at a time, each waiting for its answer before it books again.
pub async fn rate(ground: &Ground, clients: usize, seconds: u64) -> Result<Rate, Setback> {
    // Connections are opened and code is warm before anything counts.
    book_until(ground, clients, Limit::Count(clients as u32 * 4)).await?;
    let began = Instant::now();
    let latencies = book_until(
        ground,
        clients,
        Limit::Time(began + Duration::from_secs(seconds)),
    )
    .await?;
    Ok(Rate::new(clients, began.elapsed(), latencies))
}

/// So many callbacks that wait for tomorrow.
pub async fn fill(ground: &Ground, count: u32) -> Result<(), Setback> {
    book_until(ground, 32, Limit::Count(count)).await.map(drop)
}

#[derive(Clone, Copy)]
enum Limit {
    Count(u32),
    Time(Instant),
}

async fn book_until(
    ground: &Ground,
    clients: usize,
    limit: Limit,
) -> Result<Vec<Duration>, Setback> {
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    let next = Arc::new(AtomicU32::new(rand::random::<u32>() % 500_000));
    let first = next.load(Ordering::Relaxed);
    let mut booking = JoinSet::new();
    for _ in 0..clients {
        let (client, next) = (ground.client(), next.clone());
        booking.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let done = match limit {
                    Limit::Count(count) => index - first >= count,
                    Limit::Time(until) => Instant::now() >= until,
                };
                if done {
                    return Ok(latencies);
                }
                let began = Instant::now();
                client.book(&number(index), tomorrow).await?;
                latencies.push(began.elapsed());
            }
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = booking.join_next().await {
        let latencies: Result<Vec<Duration>, Setback> =
            ended.map_err(|error| Setback(format!("a client broke: {error}")))?;
        all.extend(latencies?);
    }
    Ok(all)
}
