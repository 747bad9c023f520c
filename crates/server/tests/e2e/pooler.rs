//! A node whose database is behind a pooler that lends connections for one transaction at a time: nothing that
//! belongs to a session lasts there. Wake-ups are not heard, and the clock behind them has to do.

use crate::harness::{Host, Network, Peer, eventually};
use crate::intake::{Intake, Plan};
use crate::nodes::rig::{PASSWORD, ROLE, Rig, TOWN, url_at};
use ringback_sim::postgres::{Database, folder, psql, unprivileged};
use std::path::PathBuf;
use std::time::Duration;

const PORT: u16 = 6432;

/// pgbouncer in transaction mode, on a host of its own.
struct Pooler {
    folder: PathBuf,
    _process: Peer,
}

impl Pooler {
    async fn start(host: &Host, database: &Database, server: &str) -> Pooler {
        let folder = folder("pooler");
        let config = format!(
            "[databases]\n{name} = host={server} port={port} dbname={name}\n\n\
             [pgbouncer]\nlisten_addr = {address}\nlisten_port = {PORT}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {folder}/users.txt\npool_mode = transaction\n\
             default_pool_size = 10\nmax_client_conn = 200\nignore_startup_parameters = extra_float_digits\n",
            name = database.name,
            port = database.port,
            address = host.address,
            folder = folder.display(),
        );
        std::fs::write(folder.join("pgbouncer.ini"), config).expect("a file can be written");
        std::fs::write(
            folder.join("users.txt"),
            format!("\"{ROLE}\" \"{PASSWORD}\"\n"),
        )
        .expect("a file can be written");
        let ini = folder.join("pgbouncer.ini").display().to_string();
        let words = unprivileged(vec!["pgbouncer".to_owned(), ini]);
        let mut command = host.command(&words[0]);
        command.args(&words[1..]).current_dir("/");
        let process = Peer::start("pgbouncer", &mut command, &folder.join("log"));
        let pooler = Pooler {
            folder,
            _process: process,
        };
        let url = pooled(host, database);
        eventually("the pooler", Duration::from_secs(30), || async {
            psql(&url, "SELECT 1")
        })
        .await;
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // The test is over: what cannot be removed is only said.
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

fn pooled(host: &Host, database: &Database) -> String {
    format!(
        "postgres://{ROLE}:{PASSWORD}@{}:{PORT}/{}",
        host.address, database.name
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_a_pooler_works_and_the_doctor_says_so() {
    let network = Network::new(4);
    let database = crate::nodes::rig::database();
    let pooler_host = network.host(3).clone();
    let _pooler = Pooler::start(&pooler_host, &database, &network.address()).await;
    let behind = pooled(&pooler_host, &database);
    let beside = url_at(&database, &network.address());
    // One node behind the pooler, and one beside it, which the first cannot hear.
    let rig = Rig::over(network, database, &[&behind, &beside], &[TOWN]).await;
    let intake = Intake::start(Plan {
        queue: TOWN.name,
        nodes: rig.clients(),
        clients: 2,
        pace: Duration::from_millis(200),
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let diary = intake.finish().await;
    assert_eq!(diary.repeated, 0, "nothing was wrong: {:?}", diary.setbacks);
    let stored = rig.settle(&diary, 0).await;
    let tally = rig.customers().tally();
    let shares: Vec<usize> = rig.hosts.iter().map(|host| tally.rung_by(host)).collect();
    println!(
        "{} attempts; rung behind and beside the pooler: {shares:?}",
        stored.attempts.len()
    );
    // Alone, it has nobody to leave the work to.
    let Rig {
        mut nodes, hosts, ..
    } = rig;
    let mut beside = nodes.remove(1);
    beside.process().signal("TERM");
    assert!(
        beside.process().wait(Duration::from_secs(60)).is_some(),
        "it stops when told to"
    );
    let before = tally.rung_by(&hosts[0]);
    for number in 0..5 {
        let id = nodes[0]
            .client
            .book(serde_json::json!({
                "queue": TOWN.name, "customer_number": crate::harness::customer_number(800_000 + number),
                "desired_response_type": "Voice", "any_hour": true,
            }))
            .await;
        let ended = nodes[0].client.ended(&id, Duration::from_secs(60)).await;
        assert_eq!(ended["call_result"], 0, "{ended:#}");
    }
    println!("it rang {before} before, and five more alone");
    // Healthy, and yet worth knowing.
    let doctor = nodes[0].command(&["doctor"]);
    let said = crate::nodes::rig::complaint(&doctor);
    assert!(doctor.status.success(), "{said}");
    let said = said.to_lowercase();
    assert!(
        said.contains("listen") && (said.contains("pool") || said.contains("proxy")),
        "the doctor says nothing of it: {said}"
    );
}
