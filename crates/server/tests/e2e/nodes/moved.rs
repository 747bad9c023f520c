//! The machine of a node is gone without a word, and the node starts on another one under its name.

use super::rig::{database, node_config, start_nodes, url_at};
use crate::harness::{Installation, Network, Server, eventually};
use std::time::Duration;

/// Of a node: two write, one lengthens leases, three read and one listens.
const CONNECTIONS: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_machine_died_starts_elsewhere_under_its_name() {
    let network = Network::new(3);
    let database = database();
    let url = url_at(&database, &network.address());
    let hosts = [network.host(0).clone(), network.host(1).clone()];
    let mut nodes = start_nodes(&hosts, &[&url, &url], "").await;
    // A connection that was logging in would be waited for by PostgreSQL for a minute at the test's end.
    let logged_in = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE client_addr = '{}'",
        hosts[0].address
    );
    eventually("all connections", Duration::from_secs(60), || async {
        let count: usize = database.sql(&logged_in).parse().expect("a count");
        if count >= CONNECTIONS {
            Ok(())
        } else {
            Err(count)
        }
    })
    .await;
    // Not even the end of the process is told: to the server its connections look as they did.
    hosts[0].cut_off(&network.address(), database.port);
    nodes[0].kill();
    let spare = network.host(2);
    let config = node_config("a", &spare.address, &url, "");
    let again = Installation::new(Some(spare), &config);
    let mut again = Server::launch(again, nodes[0].client.clone());
    again.await_ready().await;
    let log = again.log();
    assert!(
        log.contains("another session has this node's name"),
        "the server had noticed before: the test means nothing\n{log}"
    );
    nodes[1].assert_healthy();
}
