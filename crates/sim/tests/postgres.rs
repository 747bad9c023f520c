//! The database the tests stand on: made, copied, closed to strangers, and gone afterwards.

use ringback_sim::postgres::{Cluster, Ground, psql};
use std::process::Command;

#[test]
fn databases_come_and_go() {
    let cluster = Cluster::start(Ground::QUICK);
    let first = cluster.database();
    first.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (41), (42)");
    let second = cluster.copy(&first);
    assert_eq!(second.sql("SELECT sum(n) FROM t"), "83");
    second.sql("DELETE FROM t");
    assert_eq!(first.sql("SELECT count(*) FROM t"), "2");
    let name = second.name.clone();
    drop(second);
    let left = cluster.sql(&format!(
        "SELECT count(*) FROM pg_database WHERE datname = '{name}'"
    ));
    assert_eq!(left, "0");
}

#[test]
fn a_stranger_needs_the_password() {
    let cluster = Cluster::start(Ground::QUICK);
    cluster.role("node", "right", "");
    let database = cluster.database();
    let good = database.url_as("node", "right", "127.0.0.1");
    assert_eq!(psql(&good, "SELECT current_user"), Ok("node".to_owned()));
    let bad = database.url_as("node", "wrong", "127.0.0.1");
    let told = psql(&bad, "SELECT 1").expect_err("a wrong password");
    assert!(told.contains("password authentication failed"), "{told}");
}

/// The test runs itself as a second process, which starts a cluster and dies without a word.
#[test]
fn a_cluster_goes_with_the_process() {
    const CHILD: &str = "RINGBACK_SIM_POSTGRES_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let cluster = Cluster::start(Ground::QUICK);
        println!("data {}", cluster.sql("SHOW data_directory"));
        std::process::abort();
    }
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "a_cluster_goes_with_the_process", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the child runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let data = text
        .lines()
        .find_map(|line| line.split_once("data ").map(|(_, path)| path))
        .unwrap_or_else(|| panic!("the child started no cluster: {text}"));
    let folder = std::path::Path::new(data)
        .parent()
        .expect("a folder around it");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while folder.exists() {
        assert!(
            std::time::Instant::now() < until,
            "{} is still there",
            folder.display()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
