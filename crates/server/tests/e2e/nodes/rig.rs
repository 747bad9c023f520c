//! The stage of the tests with several nodes: servers on hosts of their own, one PostgreSQL under them, and on a
//! host beside them the telephones that everybody rings.

use crate::books::{Stored, check_bookings, check_rings};
use crate::harness::{Client, Host, Installation, Network, Phones, Server, dn_queue, eventually};
use crate::intake::{Diary, Intake, Plan};
use jiff::{SignedDuration, Timestamp};
use ringback_sim::postgres::{self, Database};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a claim holds in these tests: the shortest that may be configured.
pub const LEASE: Duration = Duration::from_secs(5);
/// What a node carried when it died is another's affair by then: a requirement, and so the one time that is asserted.
/// Measured by what the nodes write, not by when the test looks.
pub const RESCUED_BY: SignedDuration = SignedDuration::from_secs(LEASE.as_secs() as i64 + 5);
/// Until everything that was booked has come to its end, on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(120);
pub const ROLE: &str = "ringback";
pub const PASSWORD: &str = "rig-secret";

/// A trunk of the rig, with the limits it has in every node's configuration.
#[derive(Clone, Copy)]
pub struct Trunk {
    pub name: &'static str,
    pub calls_per_second: u32,
    pub concurrent: u32,
}

/// Where the customers are in most tests; the desk is never what is short.
pub const TOWN: Trunk = Trunk {
    name: "town",
    calls_per_second: 1000,
    concurrent: 1000,
};
const DESK: Trunk = Trunk {
    name: "desk",
    ..TOWN
};

pub struct Rig {
    pub nodes: Vec<Server>,
    pub hosts: Vec<Host>,
    pub database: Database,
    phones: BTreeMap<&'static str, Phones>,
    _files: TempDir,
    pub network: Network,
}

impl Rig {
    /// Two nodes and one trunk.
    pub async fn of_two() -> Rig {
        Rig::build(2, &[TOWN]).await
    }

    /// Each trunk leads to telephones of its own, and has a queue of its own name.
    pub async fn build(nodes: usize, trunks: &[Trunk]) -> Rig {
        let network = Network::new(nodes + 1);
        let database = database();
        let url = url_at(&database, &network.address());
        Rig::over(network, database, &vec![url.as_str(); nodes], trunks).await
    }

    /// A node for every address of the database, on the first hosts of the network; the telephones are on the next.
    pub async fn over(
        network: Network,
        database: Database,
        urls: &[&str],
        trunks: &[Trunk],
    ) -> Rig {
        let files = tempfile::tempdir().expect("a directory");
        let (phones, routes) = telephones(network.host(urls.len()), trunks, files.path());
        let hosts: Vec<Host> = (0..urls.len())
            .map(|index| network.host(index).clone())
            .collect();
        let rig = Rig {
            nodes: start_nodes(&hosts, urls, &routes).await,
            hosts,
            database,
            phones,
            _files: files,
            network,
        };
        for trunk in trunks {
            rig.open_queue(trunk.name, json!({})).await;
        }
        rig
    }

    /// A queue that calls by the trunk of the same name.
    pub async fn open_queue(&self, name: &'static str, more: Value) {
        let queue = crowded_queue(name, more);
        self.nodes[0].client.put_queue(name, queue).await;
    }

    pub fn clients(&self) -> Vec<Client> {
        self.nodes.iter().map(|node| node.client.clone()).collect()
    }

    pub fn phones(&self, trunk: &str) -> &Phones {
        &self.phones[trunk]
    }

    pub fn customers(&self) -> &Phones {
        self.phones(TOWN.name)
    }

    /// Some twenty bookings a second, half of them at each node.
    pub fn intake(&self) -> Intake {
        Intake::start(Plan {
            queue: TOWN.name,
            nodes: self.clients(),
            clients: 4,
            pace: Duration::from_millis(200),
        })
    }

    /// Waits until everything has come to its end, and compares what the clients, the telephones and the
    /// nodes say of it. `through` is the node that is asked.
    pub async fn settle(&self, diary: &Diary, through: usize) -> Stored {
        let stored = all_ended(&self.nodes[through].client).await;
        check_bookings(diary, &stored);
        self.check_rings(&stored);
        stored
    }

    /// Nobody was rung twice for one attempt, nobody without a record, and every callback rang or says why not.
    pub fn check_rings(&self, stored: &Stored) {
        let mut reached = BTreeMap::new();
        for (name, phones) in &self.phones {
            let tally = phones.tally();
            let odd = match tally.nameless {
                0 => Vec::new(),
                some => vec![format!("{some} INVITEs without an attempt's id")],
            };
            check_rings(name, &tally.rings(), &odd, stored);
            if *name != DESK.name {
                reached.extend(tally.rings());
            }
        }
        let mut unexplained = Vec::new();
        for id in stored.callbacks.keys() {
            let attempts: Vec<_> = stored
                .attempts
                .iter()
                .filter(|(_, (of, _))| of == id)
                .collect();
            let rang = attempts
                .iter()
                .any(|(attempt, _)| reached.contains_key(*attempt));
            if !rang {
                unexplained.push(format!("{:#} {attempts:#?}", stored.callbacks[id]));
            }
        }
        assert!(
            unexplained.is_empty(),
            "{} callbacks ended and rang nobody: {unexplained:#?}",
            unexplained.len()
        );
        // An attempt that is recorded and rang nobody was cut short, and says so.
        let silent: Vec<_> = stored
            .attempts
            .iter()
            .filter(|(attempt, (_, told))| {
                let cut_short = [
                    "unknown",
                    "stopped",
                    "agent_fault",
                    "route_fault",
                    "deferred",
                ];
                !reached.contains_key(*attempt)
                    && !cut_short.contains(&told["verdict"].as_str().unwrap_or_default())
            })
            .collect();
        assert!(
            silent.is_empty(),
            "attempts that rang nobody and say otherwise: {silent:#?}"
        );
    }

    /// Waits until several calls are up at a node, so that something is at stake.
    pub async fn busy(&self, index: usize) {
        eventually("several calls at one node", LIMIT, || async {
            let open = self.customers().tally().open_by(&self.hosts[index]).len();
            if open >= 4 { Ok(()) } else { Err(open) }
        })
        .await;
    }

    /// Waits until attempts that were up at a node which has gone are over by the books, and says how long after
    /// `since` the last of them was.
    pub async fn rescue(
        &self,
        orphans: &BTreeSet<String>,
        through: usize,
        since: Timestamp,
    ) -> SignedDuration {
        let mut last = since;
        let client = &self.nodes[through].client;
        let stored = Stored::read(client).await;
        for attempt in orphans {
            let (callback, _) = stored
                .attempts
                .get(attempt)
                .unwrap_or_else(|| panic!("{attempt} rang and is not recorded"));
            let ended = eventually("the rescue", LIMIT, || async {
                let attempts = client.attempts(callback).await;
                let found = attempts
                    .iter()
                    .find(|found| found["attempt_id"] == attempt.as_str());
                let ended = found.and_then(|found| found["ended_at"].as_str()?.parse().ok());
                ended.ok_or_else(|| format!("{found:?}"))
            })
            .await;
            last = last.max(ended);
        }
        last.duration_since(since)
    }

    pub fn assert_healthy(&self) {
        for node in &self.nodes {
            node.assert_healthy();
        }
    }
}

/// A queue for many short calls by the trunk of that name, where what failed is tried again soon: a fault of a node is
/// not to end a callback. A full trunk uses up no try.
pub fn crowded_queue(trunk: &str, more: Value) -> Value {
    let again = |times: u32| json!({"after": "1s", "times": times});
    let mut rules = json!({
        "delivery": {"kind": "dn", "dn": "agents", "location": DESK.name, "max_concurrent": 200},
        "max_talk": "10s",
        "notice": "0s",
        "retry": {
            "busy": again(3), "no_answer": again(3), "deferred": again(3), "route_fault": again(3),
            // Longer than a silent peer is asked: nothing is rung anew before that.
            "unknown": {"after": "40s", "times": 5}, "spread": 0.0
        },
    });
    for (key, value) in more.as_object().expect("rules are objects") {
        rules[key] = value.clone();
    }
    dn_queue(DESK.name, &[trunk], rules)
}

/// An empty database that belongs to the nodes' role.
pub fn database() -> Database {
    let cluster = postgres::shared(postgres::Ground::DURABLE);
    cluster.role(ROLE, PASSWORD, "");
    let database = cluster.database();
    database.sql(&format!("ALTER DATABASE {} OWNER TO {ROLE}", database.name));
    database
}

/// As the nodes reach it from another host.
pub fn url_at(database: &Database, address: &str) -> String {
    database.url_as(ROLE, PASSWORD, address)
}

/// The configuration of a node that listens on its host's address.
pub fn node_config(name: &str, address: &str, database: &str, rest: &str) -> String {
    format!(
        "[server]\nlisten = \"{address}:8070\"\ndata = \"data\"\nnode = \"{name}\"\ndatabase = \"{database}\"\n\
         shutdown_limit = \"20s\"\n\n[api]\nrequests_per_second = 0\n\n\
         [log]\nlevel = \"info,ringback_dispatch=debug\"\n\n\
         [dispatch]\nlease = \"{}s\"\n\n[sip]\nlisten = [\"udp:{address}:5060\"]\n\n{rest}\n",
        LEASE.as_secs()
    )
}

/// A node for every host, `a`, `b` and so on, all at once; the first makes the key for all.
pub async fn start_nodes(hosts: &[Host], databases: &[&str], routes: &str) -> Vec<Server> {
    let mut installations = Vec::new();
    for ((host, database), name) in hosts.iter().zip(databases).zip(["a", "b", "c", "d"]) {
        let config = node_config(name, &host.address, database, routes);
        installations.push(Installation::new(Some(host), &config));
    }
    let client = Client::new(String::new()).with_key(&make_key(&installations[0]));
    let mut servers: Vec<Server> = installations
        .into_iter()
        .map(|installation| Server::launch(installation, client.clone()))
        .collect();
    for server in &mut servers {
        server.await_ready().await;
    }
    servers
}

/// A key for everything, made by the program itself.
pub fn make_key(installation: &Installation) -> String {
    let scopes = "read,write,agent,admin";
    let made = installation.run(&[
        "keys",
        "create",
        "--name",
        "rig",
        "--scope",
        scopes,
        "--application",
        "1",
    ]);
    assert!(
        made.status.success(),
        "no key could be made: {}",
        complaint(&made)
    );
    String::from_utf8_lossy(&made.stdout).trim().to_owned()
}

pub fn complaint(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Telephones for the desk and every trunk on one host, and the routes to them.
pub fn telephones(
    host: &Host,
    trunks: &[Trunk],
    dir: &Path,
) -> (BTreeMap<&'static str, Phones>, String) {
    let mut phones = BTreeMap::new();
    let mut routes = String::new();
    for (index, trunk) in [DESK].iter().chain(trunks).enumerate() {
        let port = 5060 + 10 * index as u16;
        let media = 20_000 + 10 * index as u16;
        let scenario = if trunk.name == DESK.name {
            "agent"
        } else {
            "customer_among_many"
        };
        let scenario = format!("sipp/{scenario}.xml");
        let started = Phones::start(trunk.name, host, port, media, &scenario, dir);
        phones.insert(trunk.name, started);
        routes.push_str(&format!(
            "[[routes]]\nkind = \"sip\"\nname = \"{}\"\nuri = \"sip:{}:{port}\"\nping = \"0s\"\n\
             calls_per_second = {}.0\nconcurrent = {}\n\n",
            trunk.name, host.address, trunk.calls_per_second, trunk.concurrent
        ));
    }
    (phones, routes)
}

/// Waits until no callback is open any more, and gives everything that is stored.
pub async fn all_ended(client: &Client) -> Stored {
    let until = Instant::now() + LIMIT;
    loop {
        let open = client.get("/v1/callbacks?status=0,1,2&limit=200").await;
        let open = open["items"].as_array().expect("a page");
        if open.is_empty() {
            return Stored::read(client).await;
        }
        assert!(
            Instant::now() < until,
            "{} callbacks have not ended in {LIMIT:?}, the first: {:#}",
            open.len(),
            open[0]
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
