//! From a host name to the addresses to try, in order (RFC 3263, RFC 2782): every SRV target by priority
//! and weight, and every address of each, so that one dead server never ends a call.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, RecordType},
};

use crate::config::Transport;

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    /// The name the peer's certificate must carry: the one we were asked to reach, never the one DNS gave.
    pub(crate) name: String,
}

/// Where a URI says to go, before DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) transport: Option<Transport>,
    pub(crate) secure: bool,
}

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: String,
}

const MAX_HOPS: usize = 8;

pub(crate) struct Resolver {
    dns: Option<TokioResolver>,
    wait: Duration,
}

impl Resolver {
    /// Asks the given name servers, or the system's. Without any usable configuration only literal
    /// addresses resolve, which is said once.
    pub(crate) fn new(servers: &[SocketAddr], wait: Duration) -> Resolver {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio().ok()
        } else {
            let servers = servers.iter().map(|server| {
                let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
                    let mut connection = ConnectionConfig::new(protocol);
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            Some(TokioResolver::builder_with_config(
                config,
                TokioRuntimeProvider::default(),
            ))
        };
        let dns = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = wait / 2;
            options.attempts = 1;
            builder.build().ok()
        });
        if dns.is_none() {
            tracing::warn!(
                "no name server is configured: only literal addresses can be reached over SIP"
            );
        }
        Resolver { dns, wait }
    }

    /// The addresses to try in order; empty when the name does not resolve in time.
    pub(crate) async fn hops(&self, to: &Destination) -> Vec<Hop> {
        if let Ok(ip) = to.host.parse::<IpAddr>() {
            return vec![literal(to, ip)];
        }
        // Too late is the same as unknown.
        tokio::time::timeout(self.wait, self.look_up(to))
            .await
            .unwrap_or_default()
    }

    async fn look_up(&self, to: &Destination) -> Vec<Hop> {
        let mut hops = Vec::new();
        if to.port.is_none() {
            for transport in candidates(to) {
                let services = self.services(&service_name(transport, &to.host)).await;
                for service in ordered(services, rand::random_range) {
                    for ip in self.addresses(&service.target).await {
                        let address = SocketAddr::new(ip, service.port);
                        hops.push(Hop {
                            transport,
                            address,
                            name: to.host.clone(),
                        });
                    }
                    if hops.len() >= MAX_HOPS {
                        break;
                    }
                }
                // The first transport the domain offers is the one it wants (no NAPTR: one question less).
                if !hops.is_empty() {
                    break;
                }
            }
        }
        if hops.is_empty() {
            let transport = plain_transport(to);
            let port = to.port.unwrap_or(transport.default_port());
            let found = self.addresses(&to.host).await;
            hops.extend(found.into_iter().map(|ip| Hop {
                transport,
                address: SocketAddr::new(ip, port),
                name: to.host.clone(),
            }));
        }
        hops.truncate(MAX_HOPS);
        hops
    }

    async fn services(&self, name: &str) -> Vec<Service> {
        let Some(dns) = &self.dns else {
            return Vec::new();
        };
        let Ok(found) = dns.lookup(name, RecordType::SRV).await else {
            return Vec::new();
        };
        let services = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) if !srv.target.is_root() => Some(Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.target.to_ascii(),
                }),
                _ => None,
            });
        services.take(32).collect()
    }

    async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return vec![IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)];
        }
        let Some(dns) = &self.dns else {
            return Vec::new();
        };
        match dns.lookup_ip(name).await {
            Ok(found) => found.iter().take(MAX_HOPS).collect(),
            Err(_none) => Vec::new(),
        }
    }
}

/// RFC 2782: lower priorities first; within one, drawn by weight. `draw` gives a number in the range.
pub(crate) fn ordered(
    mut services: Vec<Service>,
    mut draw: impl FnMut(std::ops::RangeInclusive<u32>) -> u32,
) -> Vec<Service> {
    // Zero weights go first within a priority, so that they have their small chance to be drawn.
    services.sort_by_key(|s| (s.priority, s.weight));
    let mut order = Vec::with_capacity(services.len());
    while let Some(priority) = services.first().map(|s| s.priority) {
        let group = services
            .iter()
            .take_while(|s| s.priority == priority)
            .count();
        let total: u32 = services[..group].iter().map(|s| u32::from(s.weight)).sum();
        let drawn = draw(0..=total);
        let mut sum = 0;
        let at = services[..group].iter().position(|s| {
            sum += u32::from(s.weight);
            sum >= drawn
        });
        order.push(services.remove(at.unwrap_or(0)));
    }
    order
}

fn literal(to: &Destination, ip: IpAddr) -> Hop {
    let transport = plain_transport(to);
    let port = to.port.unwrap_or(transport.default_port());
    Hop {
        transport,
        address: SocketAddr::new(ip, port),
        name: to.host.clone(),
    }
}

fn plain_transport(to: &Destination) -> Transport {
    match (to.secure, to.transport) {
        (true, _) => Transport::Tls,
        (false, Some(transport)) => transport,
        (false, None) => Transport::Udp,
    }
}

fn candidates(to: &Destination) -> Vec<Transport> {
    match (to.secure, to.transport) {
        (true, _) => vec![Transport::Tls],
        (false, Some(transport)) => vec![transport],
        (false, None) => vec![Transport::Udp, Transport::Tcp],
    }
}

fn service_name(transport: Transport, host: &str) -> String {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{prefix}.{}.", host.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, target: &str) -> Service {
        Service {
            priority,
            weight,
            port: 5060,
            target: target.to_owned(),
        }
    }

    #[test]
    fn priority_first_then_weight_by_the_draw() {
        let services = vec![
            service(20, 0, "backup"),
            service(10, 60, "big"),
            service(10, 20, "small"),
        ];
        let names = |draws: &[u32]| {
            let mut draws = draws.iter().copied();
            let order = ordered(services.clone(), |range| {
                draws.next().unwrap().min(*range.end())
            });
            order.into_iter().map(|s| s.target).collect::<Vec<_>>()
        };
        assert_eq!(names(&[80, 0, 0]), ["big", "small", "backup"]);
        assert_eq!(names(&[21, 0, 0]), ["big", "small", "backup"]);
        assert_eq!(names(&[20, 0, 0]), ["small", "big", "backup"]);
    }

    #[test]
    fn weights_share_the_load() {
        let services = vec![service(1, 75, "a"), service(1, 25, "b")];
        let first_is_a = (0..2000)
            .filter(|_| ordered(services.clone(), rand::random_range)[0].target == "a")
            .count();
        assert!((1350..1650).contains(&first_is_a), "{first_is_a}");
    }

    #[test]
    fn nobody_is_lost_or_doubled() {
        let services: Vec<Service> = (0..20)
            .map(|i| service(i % 3, i * 7 % 5, &i.to_string()))
            .collect();
        let mut order: Vec<String> = ordered(services, rand::random_range)
            .into_iter()
            .map(|s| s.target)
            .collect();
        order.sort();
        order.dedup();
        assert_eq!(order.len(), 20);
    }

    #[tokio::test]
    async fn literal_addresses_ask_nobody() {
        let resolver = Resolver::new(&["127.0.0.1:9".parse().unwrap()], Duration::from_secs(1));
        let mut to = Destination {
            host: "192.0.2.1".to_owned(),
            port: None,
            transport: None,
            secure: false,
        };
        let hop = resolver.hops(&to).await.remove(0);
        assert_eq!(
            (hop.transport, hop.address.to_string().as_str()),
            (Transport::Udp, "192.0.2.1:5060")
        );
        to.secure = true;
        let hop = resolver.hops(&to).await.remove(0);
        assert_eq!((hop.transport, hop.address.port()), (Transport::Tls, 5061));
        to.port = Some(7000);
        assert_eq!(resolver.hops(&to).await[0].address.port(), 7000);
    }
}
