//! A little network of the test's own: a bridge on which the server has an address, and hosts that are
//! network namespaces. Everything is taken down when it is dropped, also while a test fails. A test that is
//! killed drops nothing: what it left is taken down by the next one, and a subnet is taken that nobody has.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names are made from the process id: one network per process at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Network {
    names: String,
    subnet: String,
    hosts: Vec<Host>,
    _only_one: MutexGuard<'static, ()>,
}

/// A host: a namespace with one interface (`eth0`) on the bridge.
#[derive(Clone)]
pub struct Host {
    pub namespace: String,
    pub address: String,
}

impl Network {
    pub fn new(hosts: usize) -> Network {
        Network::laid_out(turn(), hosts)
    }

    fn laid_out(only_one: MutexGuard<'static, ()>, hosts: usize) -> Network {
        // Two test processes that lay out their networks at the same time would choose the same subnet.
        let choosing = File::create(std::env::temp_dir().join("ringback-e2e-networks.lock"))
            .expect("a lock file can be made");
        choosing.lock().expect("the lock file can be locked");
        take_down_what_the_dead_left();
        let mut network = Network {
            names: names_of(std::process::id()),
            subnet: free_subnet(),
            hosts: Vec::new(),
            _only_one: only_one,
        };
        let bridge = network.bridge();
        let ours = network.address();
        run(&["ip", "link", "add", &bridge, "type", "bridge"]);
        run(&["ip", "addr", "add", &format!("{ours}/24"), "dev", &bridge]);
        run(&["ip", "link", "set", &bridge, "up"]);
        drop(choosing);
        for index in 0..hosts {
            let host = Host {
                namespace: format!("{}h{index}", network.names),
                address: format!("{}.{}", network.subnet, index + 2),
            };
            let (namespace, near) = (host.namespace.clone(), network.near_end(index));
            let address = format!("{}/24", host.address);
            run(&["ip", "netns", "add", &namespace]);
            // From here on dropping takes it down again.
            network.hosts.push(host);
            run(&[
                "ip", "link", "add", &near, "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ]);
            run(&["ip", "link", "set", &near, "master", &bridge, "up"]);
            run(&[
                "ip", "-n", &namespace, "addr", "add", &address, "dev", "eth0",
            ]);
            run(&["ip", "-n", &namespace, "link", "set", "eth0", "up"]);
            run(&["ip", "-n", &namespace, "link", "set", "lo", "up"]);
        }
        network
    }

    /// The server's own address on the bridge.
    pub fn address(&self) -> String {
        format!("{}.1", self.subnet)
    }

    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    fn near_end(&self, index: usize) -> String {
        format!("{}v{index}", self.names)
    }

    fn bridge(&self) -> String {
        format!("{}b", self.names)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The test is over, well or badly: what cannot be removed is only said.
        take_down(&self.names);
    }
}

impl Host {
    /// A command that runs on this host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// Counts packets in the kernel, by rules of our choosing: `(name, chain, match)`.
    pub fn count(&self, rules: &[(&str, &str, String)]) {
        let mut script = String::from("table inet witness {\n");
        for (name, _, _) in rules {
            script.push_str(&format!("  counter {name} {{ }}\n"));
        }
        for chain in ["input", "output"] {
            script.push_str(&format!(
                "  chain {chain} {{ type filter hook {chain} priority 0;\n"
            ));
            for (name, _, matching) in rules.iter().filter(|(_, of, _)| *of == chain) {
                script.push_str(&format!("    {matching} counter name {name}\n"));
            }
            script.push_str("  }\n");
        }
        script.push_str("}\n");
        self.rules(&script);
    }

    /// Nothing passes any more between this host and a port of another; no error comes back either.
    pub fn cut_off(&self, address: &str, port: u16) {
        self.rules(&format!(
            "table inet cut {{\n\
             chain input {{ type filter hook input priority 0; ip saddr {address} tcp sport {port} drop; }}\n\
             chain output {{ type filter hook output priority 0; ip daddr {address} tcp dport {port} drop; }}\n}}\n"
        ));
    }

    pub fn heal(&self) {
        let output = self
            .command("nft")
            .args(["delete", "table", "inet", "cut"])
            .output();
        succeeded("nft", output);
    }

    fn rules(&self, script: &str) {
        let file = std::env::temp_dir().join(format!("{}.nft", self.namespace));
        std::fs::write(&file, script).expect("rules can be written");
        let output = self.command("nft").arg("-f").arg(&file).output();
        // The rules are in the kernel now, or the assertion below says why not.
        let _ = std::fs::remove_file(&file);
        succeeded("nft", output);
    }

    /// Packets counted so far under a name.
    pub fn packets(&self, counter: &str) -> u64 {
        let output = self
            .command("nft")
            .args(["-j", "list", "counter", "inet", "witness", counter])
            .output();
        let text = succeeded("nft", output);
        let answer: serde_json::Value = serde_json::from_str(&text).expect("nft speaks JSON");
        answer["nftables"]
            .as_array()
            .and_then(|parts| {
                parts
                    .iter()
                    .find_map(|part| part["counter"]["packets"].as_u64())
            })
            .unwrap_or_else(|| panic!("no counter {counter} in {answer}"))
    }
}

/// Waits until no other test of this process has a network.
fn turn() -> MutexGuard<'static, ()> {
    // A test that failed while it held the lock has dropped its network nevertheless.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What everything is called that the networks of a process are made of. An interface may have 15 letters:
/// the largest process id has seven figures, which leaves two for the host.
fn names_of(process: u32) -> String {
    format!("rbe{process}")
}

/// The process whose network an interface or a namespace belongs to.
fn maker(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("rbe")?;
    let (process, part) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
    part.starts_with(['b', 'v', 'h'])
        .then(|| process.parse().ok())?
}

/// Of a process that ended without taking its network down (`kill -9` ends it so), or of this one, which has none
/// while it lays one out.
fn take_down_what_the_dead_left() {
    let mut makers: Vec<u32> = interfaces()
        .iter()
        .filter_map(|interface| maker(interface["ifname"].as_str()?))
        .chain(namespaces().iter().filter_map(|name| maker(name)))
        .filter(|process| {
            *process == std::process::id() || !Path::new(&format!("/proc/{process}")).exists()
        })
        .collect();
    makers.sort_unstable();
    makers.dedup();
    for process in makers {
        take_down(&names_of(process));
    }
}

fn take_down(names: &str) {
    let is_ours = |name: &&str| maker(name).is_some_and(|process| names_of(process) == names);
    let interfaces = interfaces();
    let names = interfaces
        .iter()
        .filter_map(|interface| interface["ifname"].as_str());
    // The kernel takes a namespace apart in its own time; the near end of the cable goes at once.
    for interface in names.filter(is_ours) {
        attempt(&["ip", "link", "del", interface]);
    }
    for namespace in namespaces().iter().map(String::as_str).filter(is_ours) {
        attempt(&["ip", "netns", "del", namespace]);
    }
}

/// The first three figures of addresses that nobody has here.
fn free_subnet() -> String {
    let taken: Vec<String> = interfaces()
        .iter()
        .filter_map(|interface| interface["addr_info"].as_array())
        .flatten()
        .filter_map(|address| address["local"].as_str())
        .map(String::from)
        .collect();
    let first = std::process::id() % 250;
    (0..250)
        .map(|step| format!("10.213.{}", (first + step) % 250))
        .find(|subnet| {
            !taken
                .iter()
                .any(|address| address.starts_with(&format!("{subnet}.")))
        })
        .expect("one of 250 subnets is free")
}

fn interfaces() -> Vec<serde_json::Value> {
    let text = run(&["ip", "-j", "addr"]);
    serde_json::from_str(&text).expect("ip speaks JSON")
}

fn namespaces() -> Vec<String> {
    // "name (id: 3)", and nothing at all where there has never been one.
    run(&["ip", "netns", "list"])
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect()
}

fn run(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    succeeded(&words.join(" "), output)
}

fn attempt(words: &[&str]) {
    if let Err(error) = Command::new(words[0]).args(&words[1..]).output() {
        eprintln!("{}: {error}", words.join(" "));
    }
}

fn succeeded(what: &str, output: std::io::Result<Output>) -> String {
    let output = output
        .unwrap_or_else(|error| panic!("{what}: {error}; script/test installs what is missing"));
    assert!(
        output.status.success(),
        "{what}: {} (network namespaces need root and CAP_NET_ADMIN)",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A host reaches the server's end only if nobody else has its addresses.
    fn reaches(network: &Network) {
        let listener = TcpListener::bind((network.address(), 0)).expect("our address is ours");
        let port = listener.local_addr().expect("an address").port();
        let connects = format!(
            "import socket; socket.create_connection(('{}', {port}), timeout=10)",
            network.address()
        );
        let output = network
            .host(0)
            .command("python3")
            .args(["-c", &connects])
            .output();
        succeeded("python3", output);
    }

    fn has(interface: &str) -> bool {
        interfaces()
            .iter()
            .any(|found| found["ifname"] == interface)
    }

    fn bridge(name: &str, address: &str) {
        run(&["ip", "link", "add", name, "type", "bridge"]);
        run(&["ip", "addr", "add", &format!("{address}/24"), "dev", name]);
        run(&["ip", "link", "set", name, "up"]);
    }

    #[test]
    fn what_a_killed_test_left_is_taken_down() {
        let turn = turn();
        let mut ended = Command::new("true").spawn().expect("true starts");
        let dead = names_of(ended.id());
        ended.wait().expect("true ends");
        let (left, address) = (format!("{dead}b"), format!("{}.1", free_subnet()));
        bridge(&left, &address);
        let network = Network::laid_out(turn, 1);
        assert!(!has(&left), "{left} is still there");
        assert_eq!(network.address(), address, "its addresses are free again");
        reaches(&network);
    }

    #[test]
    fn addresses_of_somebody_else_are_left_alone() {
        let turn = turn();
        let (name, address) = (
            format!("other{}", std::process::id()),
            format!("{}.1", free_subnet()),
        );
        bridge(&name, &address);
        let network = Network::laid_out(turn, 1);
        let (other, still_there) = (network.address(), has(&name));
        run(&["ip", "link", "del", &name]);
        assert!(
            still_there && other != address,
            "{name}: {address}, ours: {other}"
        );
        reaches(&network);
    }
}
