//! A PostgreSQL of two members that replaces its primary by itself: Patroni on each, and one etcd to agree by.

use crate::harness::{Client, Host, Peer, eventually};
use reqwest::Method;
use ringback_sim::postgres::{folder, program, psql, unprivileged};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// From nothing to two members of which one may be lost takes half a minute on an idle machine.
const LIMIT: Duration = Duration::from_secs(180);
pub const PASSWORD: &str = "rig-secret";

/// Two members and the etcd they agree by. All of it goes when it is dropped.
pub struct Pair {
    members: [Member; 2],
    _etcd: Peer,
    _etcd_data: Folder,
}

struct Member {
    name: String,
    host: Host,
    data: Folder,
    agent: Option<Peer>,
    starts: u32,
}

/// A folder of PostgreSQL's own, removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What still runs in it is being killed; a file that appears meanwhile is only said.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

impl Pair {
    pub async fn start(members: [&Host; 2], referee: &Host) -> Pair {
        let etcd_data = Folder(folder("etcd"));
        let etcd = start_etcd(referee, &etcd_data.0);
        let members = ["one", "two"].into_iter().zip(members).map(|(name, host)| {
            let data = Folder(folder("member"));
            let config = configuration(name, host, referee, &data.0);
            fs::write(data.0.join("patroni.yml"), config).expect("a file can be written");
            let mut member = Member {
                name: name.to_owned(),
                host: host.clone(),
                data,
                agent: None,
                starts: 0,
            };
            member.start();
            member
        });
        let members: Vec<Member> = members.collect();
        let members = members.try_into().unwrap_or_else(|_| panic!("two members"));
        let pair = Pair {
            members,
            _etcd: etcd,
            _etcd_data: etcd_data,
        };
        pair.await_whole().await;
        pair
    }

    /// Waits until there is a primary, and a standby that has everything the primary has acknowledged.
    pub async fn await_whole(&self) {
        eventually("a primary and a synchronous standby", LIMIT, || async {
            let mut told = String::new();
            for member in &self.members {
                let Some(cluster) = self.ask(member, "/cluster").await else {
                    continue;
                };
                let members = cluster["members"].as_array().cloned().unwrap_or_default();
                let role = |role: &str| members.iter().any(|member| member["role"] == role);
                if role("leader") && role("sync_standby") {
                    return Ok(());
                }
                told = cluster.to_string();
            }
            Err(told)
        })
        .await;
    }

    /// Which member takes writes now, as its own agent says.
    pub async fn primary(&self) -> Option<usize> {
        for (index, member) in self.members.iter().enumerate() {
            let answer = self.ask(member, "/patroni").await;
            let primary = answer.is_some_and(|answer| {
                answer["state"] == "running"
                    && matches!(answer["role"].as_str(), Some("master" | "primary"))
            });
            if primary {
                return Some(index);
            }
        }
        None
    }

    /// `kill -9` of a member's database and of the agent that would start it again.
    pub fn kill(&mut self, index: usize) {
        let member = &mut self.members[index];
        if let Some(mut agent) = member.agent.take() {
            agent.kill();
        }
        member.kill_database();
    }

    /// Starts a killed member's agent again; it finds out by itself what it is now.
    pub fn revive(&mut self, index: usize) {
        self.members[index].start();
    }

    /// Addresses with ports, as a connection string lists them.
    pub fn addresses(&self) -> String {
        let addresses = self
            .members
            .iter()
            .map(|member| format!("{}:5432", member.host.address));
        addresses.collect::<Vec<_>>().join(",")
    }

    pub fn address(&self, index: usize) -> String {
        format!("{}:5432", self.members[index].host.address)
    }

    /// Runs SQL on the primary as its superuser.
    pub async fn sql(&self, database: &str, sql: &str) -> String {
        let primary = self.primary().await.expect("a primary");
        let url = format!(
            "postgres://postgres:{PASSWORD}@{}/{database}",
            self.address(primary)
        );
        psql(&url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn ask(&self, member: &Member, what: &str) -> Option<Value> {
        let agent = Client::new(format!("http://{}:8008", member.host.address));
        // A member that is not there has no answer, which is an answer as well.
        let (_, answer) = agent.ask(Method::GET, what, &[], None).await.ok()?;
        Some(answer)
    }
}

impl Member {
    fn start(&mut self) {
        self.starts += 1;
        let config = self.data.0.join("patroni.yml").display().to_string();
        let words = unprivileged(vec!["patroni".to_owned(), config]);
        let mut command = self.host.command(&words[0]);
        command.args(&words[1..]).current_dir("/");
        let log = self.data.0.join(format!("patroni-{}.log", self.starts));
        let agent = Peer::start(&format!("Patroni ({})", self.name), &mut command, &log);
        self.agent = Some(agent);
    }

    /// The first line of the file is the process of the postmaster. Its children see that it is gone and go too.
    fn kill_database(&self) {
        let file = self.data.0.join("data/postmaster.pid");
        let Ok(text) = fs::read_to_string(file) else {
            return;
        };
        let Some(pid) = text.lines().next().map(str::trim) else {
            return;
        };
        let data = self.data.0.join("data").display().to_string();
        // A number in a file may have become somebody else's: it is ours if it runs over our data.
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(&data) {
            let done = std::process::Command::new("kill")
                .args(["-9", pid])
                .status();
            assert!(
                done.is_ok_and(|done| done.success()),
                "{} could not be killed",
                self.name
            );
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The agent first, or it would start what is killed next.
        drop(self.agent.take());
        self.kill_database();
    }
}

fn start_etcd(host: &Host, data: &std::path::Path) -> Peer {
    let address = &host.address;
    let words = unprivileged(
        [
            "etcd".to_owned(),
            format!("--data-dir={}/etcd", data.display()),
            format!("--listen-client-urls=http://{address}:2379"),
            format!("--advertise-client-urls=http://{address}:2379"),
            format!("--listen-peer-urls=http://{address}:2380"),
            format!("--initial-advertise-peer-urls=http://{address}:2380"),
            format!("--initial-cluster=default=http://{address}:2380"),
        ]
        .into(),
    );
    let mut command = host.command(&words[0]);
    command.args(&words[1..]).current_dir("/");
    Peer::start("etcd", &mut command, &data.join("etcd.log"))
}

/// A primary counts as lost after `ttl` seconds without a word; the agents look every `loop_wait` seconds.
fn configuration(name: &str, host: &Host, referee: &Host, folder: &std::path::Path) -> String {
    let address = &host.address;
    let folder = folder.display();
    let postgres = program("postgres");
    let programs = postgres.parent().expect("a folder of programs").display();
    format!(
        "scope: ringback
name: {name}
restapi:
  listen: {address}:8008
  connect_address: {address}:8008
etcd3:
  host: {referee}:2379
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters:
        max_connections: 150
        shared_buffers: 64MB
        wal_keep_size: 256MB
  initdb:
    - encoding: UTF8
    - locale: C
    - data-checksums
  pg_hba:
    - local all postgres trust
    - host all all all scram-sha-256
    - host replication all all scram-sha-256
postgresql:
  listen: {address}:5432
  connect_address: {address}:5432
  data_dir: {folder}/data
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  authentication:
    superuser: {{ username: postgres, password: {PASSWORD} }}
    replication: {{ username: replicator, password: {PASSWORD} }}
    rewind: {{ username: rewinder, password: {PASSWORD} }}
  parameters:
    unix_socket_directories: {folder}
",
        referee = referee.address,
    )
}
