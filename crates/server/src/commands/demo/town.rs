//! The people of the demonstration: their telephones, the exchange they hang on, and the letter box.

use ringback_sim::mailbox::Mailbox;
use ringback_sim::phone::{Phone, PhoneOptions};
use ringback_sim::script::{Behaviour, Script, Talk};
use ringback_sim::trunk::{Trunk, TrunkOptions};
use ringback_sim::witness::{MediaRecord, Witness};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Numbers from the ranges that the British regulator keeps free for plays.
pub const FRIEDA: &str = "+44 20 7946 0011";
pub const BRUNO: &str = "+44 20 7946 0022";
pub const NORA: &str = "+44 20 7946 0033";
pub const DECLAN: &str = "+44 20 7946 0044";
pub const WANDA: &str = "+44 20 7946 0055";
pub const RITA: &str = "+44 20 7946 0066";
pub const CORA: &str = "+44 20 7946 0077";

/// The customers who can be rung, as they are dialled.
pub const CUSTOMERS: [(&str, &str); 8] = [
    ("Frieda", FRIEDA),
    ("Bruno", BRUNO),
    ("Nora", NORA),
    ("Declan", DECLAN),
    ("Wanda", WANDA),
    ("Rita", RITA),
    ("Cora", CORA),
    ("Victor", "victor"),
];

/// Agents, by their ids from 1. Dora has no telephone of her own: she works at the desk.
pub const AGENTS: [&str; 3] = ["Anna", "Ben", "Dora"];
pub const DORA: i64 = 3;
/// The extension at the reception's switchboard.
pub const RECEPTION: &str = "100";
/// Trunk login of the exchange.
pub const TRUNK_USER: &str = "ringback";

pub struct Town {
    /// Where customers' numbers are.
    pub exchange: Trunk,
    /// A trunk that answers 503 to everything: the first route, so that the second has to be taken.
    pub broken: Trunk,
    /// The reception's own small PBX.
    pub switchboard: Trunk,
    /// A customer with a SIP address instead of a number.
    pub victor: Phone,
    pub mailbox: Mailbox,
    pub agents: Vec<Phone>,
    /// Made up anew for every performance.
    pub secret: String,
}

impl Town {
    pub async fn open() -> io::Result<Town> {
        let secret = format!("{:016x}", rand::random::<u64>());
        let answers = |ring: u64, talk: u64| {
            Behaviour::answer(
                Duration::from_millis(ring),
                Talk::For(Duration::from_millis(talk)),
            )
        };
        let options = TrunkOptions::default()
            .line(&dialled(FRIEDA), answers(900, 2500))
            .line(
                &dialled(BRUNO),
                Script::new([Behaviour::busy(), answers(700, 2000)]),
            )
            .line(&dialled(NORA), Behaviour::RingForever)
            .line(&dialled(DECLAN), answers(800, 2000))
            .line(&dialled(WANDA), Behaviour::not_found())
            .line(
                &dialled(RITA),
                Behaviour::answer(Duration::from_millis(600), Talk::UntilHungUp),
            )
            .demanding(TRUNK_USER, &secret);
        let exchange = Trunk::start(options).await?;
        let broken = Trunk::start(TrunkOptions::default()).await?;
        broken.out_of_order(true).await;
        let switchboard =
            Trunk::start(TrunkOptions::default().line(RECEPTION, answers(300, 2200))).await?;
        let victor = Phone::start(PhoneOptions::new("victor", answers(700, 2000))).await?;
        let mailbox = Mailbox::open().await?;
        Ok(Town {
            exchange,
            broken,
            switchboard,
            victor,
            mailbox,
            agents: Vec::new(),
            secret,
        })
    }

    /// The agents' telephones are switched on and register with Ringback.
    pub async fn move_in(
        &mut self,
        registrar: SocketAddr,
        patience: Duration,
    ) -> Result<(), String> {
        for name in &AGENTS[..2] {
            let answers = Behaviour::answer(Duration::from_millis(300), Talk::UntilHungUp);
            let options =
                PhoneOptions::new(&user(name), answers).registered_at(registrar, &self.secret);
            let mut phone = Phone::start(options)
                .await
                .map_err(|error| format!("{name} gets no telephone: {error}"))?;
            if !phone.registered(patience).await {
                return Err(format!("{name}'s telephone could not register"));
            }
            self.agents.push(phone);
        }
        Ok(())
    }

    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, phone) in AGENTS.iter().zip(&self.agents) {
            lines.push(format!(
                "  {name:<10}agent at {}, registered with Ringback",
                phone.uri()
            ));
        }
        lines.push(format!(
            "  {:<10}agent without a telephone: declines calls, answers letters",
            AGENTS[2]
        ));
        lines.push(format!(
            "  {:<10}extension {RECEPTION} of a PBX at {}",
            "reception",
            self.switchboard.addr()
        ));
        lines.push(format!(
            "  {:<10}of six customers, at {} (with a login)",
            "exchange",
            self.exchange.addr()
        ));
        lines.push(format!(
            "  {:<10}{}, a customer without a number",
            "Victor",
            self.victor.uri()
        ));
        lines.push(format!(
            "  {:<10}SMTP at {}",
            "letters",
            self.mailbox.addr()
        ));
        lines
    }

    /// Everyone who is called.
    pub fn customers(&self) -> [&Witness; 2] {
        [self.exchange.witness(), self.victor.witness()]
    }

    /// Everyone at the near end.
    pub fn near_ends(&self) -> Vec<&Witness> {
        self.agents
            .iter()
            .map(Phone::witness)
            .chain([self.switchboard.witness()])
            .collect()
    }

    /// Lets the last words of the last call arrive and be counted.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    pub async fn close(self) {
        for phone in self.agents {
            phone.stop().await;
        }
        self.victor.stop().await;
        self.exchange.stop().await;
        self.switchboard.stop().await;
        self.broken.stop().await;
    }
}

/// How often telephones rang for each attempt, over several witnesses.
pub fn rings(witnesses: &[&Witness]) -> BTreeMap<String, u32> {
    let mut sum = BTreeMap::new();
    for (attempt, count) in witnesses
        .iter()
        .flat_map(|witness| witness.rings_by_attempt())
    {
        *sum.entry(attempt).or_default() += count;
    }
    sum
}

pub fn media(witnesses: &[&Witness]) -> Vec<MediaRecord> {
    witnesses
        .iter()
        .flat_map(|witness| witness.media())
        .collect()
}

/// A number as it stands in a request's URI.
pub fn dialled(number: &str) -> String {
    number.replace(' ', "")
}

/// A name as the user part of an address.
pub fn user(name: &str) -> String {
    name.to_lowercase()
}
