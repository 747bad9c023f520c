//! Reads over HTTP, one after the other on one connection: what a desk or a page waits for.

use super::ground::Server;
use super::load::Known;
use super::setback::Setback;
use super::spread::{Spread, ms};
use super::town::{BOOKED, spread_queue};
use super::wire::{Load, Maker, Until, drive, request};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// p99 of each read in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    pub get: f64,
    pub customer: f64,
    pub page: f64,
}

pub async fn measure(server: &Server, known: &[Known], count: u64) -> Result<Reads, Setback> {
    if known.is_empty() {
        return Err(Setback::Broken("nothing is stored".to_owned()));
    }
    let known: Arc<Vec<Known>> = Arc::new(known.to_vec());
    let other = known.clone();
    // Neighbours in the list are neighbours in the file: jump.
    let pick = |known: &[Known], index: u64| known[(index * 7919) as usize % known.len()].clone();
    let get: Maker = Arc::new(move |index| {
        let path = format!("/v1/callbacks/{}", pick(&known, index).id);
        request("GET", &path, "", "")
    });
    let customer: Maker = Arc::new(move |index| {
        let path = format!("/v1/callbacks?customer_id={}", pick(&other, index).customer);
        request("GET", &path, "", "")
    });
    let page: Maker = Arc::new(|index| {
        let path = format!("/v1/callbacks?queue={}", spread_queue(index));
        request("GET", &path, "", "")
    });
    Ok(Reads {
        get: p99(server, get, count).await?,
        customer: p99(server, customer, count).await?,
        page: p99(server, page, count).await?,
    })
}

/// p99 of the slots of one day.
pub async fn slots(server: &Server, first_day: Timestamp, count: u64) -> Result<f64, Setback> {
    let slots: Maker = Arc::new(move |index| {
        let from =
            first_day + SignedDuration::from_hours(24) * i32::try_from(index % 10).unwrap_or(0);
        let to = from + SignedDuration::from_hours(24);
        let path = format!("/v1/queues/{BOOKED}/slots?from={from}&to={to}");
        request("GET", &path, "", "")
    });
    p99(server, slots, count).await
}

async fn p99(server: &Server, maker: Maker, count: u64) -> Result<f64, Setback> {
    let load = |count, maker| Load {
        address: server.address,
        connections: 1,
        until: Until::Count(count),
        expected: 200,
        maker,
    };
    // The first ones open what stays open.
    drive(load(count.min(50), Arc::clone(&maker))).await?;
    let met = drive(load(count, maker)).await?;
    Ok(ms(Spread::of(met.times).p99))
}
