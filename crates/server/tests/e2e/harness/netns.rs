//! A little network of the test's own: a bridge on which the server has an address, and hosts that are
//! network namespaces. Everything is taken down when it is dropped, also while a test fails.

use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names and addresses are made from the process id: one network per process at a time.
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
        // A test that failed while it held the lock has dropped its network nevertheless.
        let only_one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let id = std::process::id() % 10_000;
        let mut network = Network {
            names: format!("rbe{id}"),
            subnet: format!("10.213.{}", id % 250),
            hosts: Vec::new(),
            _only_one: only_one,
        };
        let bridge = network.bridge();
        let ours = network.address();
        run(&["ip", "link", "add", &bridge, "type", "bridge"]);
        run(&["ip", "addr", "add", &format!("{ours}/24"), "dev", &bridge]);
        run(&["ip", "link", "set", &bridge, "up"]);
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
        for (index, host) in self.hosts.iter().enumerate() {
            // The kernel takes a namespace apart in its own time; the near end of the cable goes at once.
            attempt(&["ip", "link", "del", &self.near_end(index)]);
            attempt(&["ip", "netns", "del", &host.namespace]);
        }
        attempt(&["ip", "link", "del", &self.bridge()]);
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

fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output();
    succeeded(&words.join(" "), output);
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
