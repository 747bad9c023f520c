//! From an order to parties and targets: who is called, at which address, over which routes.

use super::config::{DIRECT, DirectRoute, REGISTRAR, Way};
use crate::order::{Near, Order, Unready};
use crate::route::{self, Permit, Places, Route};
use ringback_callbacks::contact::Contact;
use ringback_callbacks::queue::LegOrder;
use ringback_sip::{BridgeCall, Flow, Party, SipEngine, SipUri, Target};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const AGENT: &str = "agent";
pub(super) const CUSTOMER: &str = "customer";
/// How two legs are joined.
pub(super) const FLOW: Flow = Flow::HeldOffer;

/// Every route of the channel, checked.
pub(super) struct Ways {
    named: HashMap<String, (Way, Arc<Route>)>,
    direct: (DirectRoute, Arc<Route>),
    /// Names in the order of the configuration, for people to read.
    order: Vec<String>,
}

/// A call ready to be placed.
pub(super) struct Plan {
    pub(super) call: BridgeCall,
    /// One per target of the customer, in the same order.
    pub(super) permits: Vec<Permit>,
    pub(super) near_is_dn: bool,
    pub(super) near_has_route: bool,
}

/// Why an order cannot be placed at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unplaceable {
    /// Our end cannot be called.
    Near(&'static str),
    /// No place was taken on a route to the customer.
    NoRoute(&'static str),
}

impl Ways {
    pub(super) fn new(direct: (DirectRoute, Arc<Route>), ways: Vec<(Way, Arc<Route>)>) -> Ways {
        let order = ways.iter().map(|(way, _)| way.name.clone()).collect();
        let named = ways
            .into_iter()
            .map(|(way, route)| (way.name.clone(), (way, route)))
            .collect();
        Ways {
            named,
            direct,
            order,
        }
    }

    /// Configured routes and the direct one.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        let named = self
            .order
            .iter()
            .filter_map(|name| self.named.get(name))
            .map(|(_, route)| route);
        named.chain(std::iter::once(&self.direct.1))
    }

    pub(super) fn ways(&self) -> impl Iterator<Item = &(Way, Arc<Route>)> {
        self.order.iter().filter_map(|name| self.named.get(name))
    }

    /// A configured route by name. The direct one is not found: a failure there is one customer's own
    /// server and says nothing of the others.
    pub(super) fn route(&self, name: &str) -> Option<&Arc<Route>> {
        self.named.get(name).map(|(_, route)| route)
    }

    pub(super) fn reserve(&self, order: &Order) -> Result<Places, Unready> {
        match near_route(&order.near) {
            None | Some(REGISTRAR) => {}
            // The near end's calls are not counted against the limits, which are meant for customers;
            // but a dead PBX makes every dial a waste.
            Some(name) => {
                let route = self.route(name).ok_or(Unready::NoRoute)?;
                if let Some(down) = route.down() {
                    return Err(down);
                }
            }
        }
        route::reserve(self.customer_routes(order))
    }

    pub(super) fn turn(&self, order: &Order) -> Duration {
        route::turn(self.customer_routes(order))
    }

    /// Those by which the customer can be called at all.
    fn customer_routes<'a>(
        &'a self,
        order: &'a Order,
    ) -> impl Iterator<Item = Option<&'a Arc<Route>>> {
        self.customer_names(order)
            .into_iter()
            .filter(|name| self.customer_target(order, name).is_some())
            .map(|name| self.customer_route(order, name))
    }

    pub(super) fn plan(
        &self,
        order: &Order,
        places: Places,
        engine: &SipEngine,
    ) -> Result<Plan, Unplaceable> {
        let near = self.near(&order.near, engine).map_err(Unplaceable::Near)?;
        let near_has_route = self.named.contains_key(&near.route);
        let (targets, permits) = self.customer(order, places)?;
        let agent = Party {
            name: AGENT,
            targets: vec![near],
        };
        let customer = Party {
            name: CUSTOMER,
            targets,
        };
        let (first, second, ring_first, ring_second) = match order.leg_order {
            LegOrder::AgentFirst => (agent, customer, order.ring_agent, order.ring_customer),
            LegOrder::CustomerFirst => (customer, agent, order.ring_customer, order.ring_agent),
        };
        let call = BridgeCall {
            id: order.attempt.to_string(),
            first,
            second,
            flow: FLOW,
            ring_first,
            ring_second,
            max_talk: order.max_talk,
            headers: Vec::new(),
        };
        let near_is_dn = matches!(order.near, Near::Dn { .. });
        Ok(Plan {
            call,
            permits,
            near_is_dn,
            near_has_route,
        })
    }

    /// Who is called first, at the first address, if that can be said.
    pub(super) fn first(
        &self,
        order: &Order,
        places: &Places,
        engine: &SipEngine,
    ) -> Option<Party> {
        let (name, target) = match order.leg_order {
            LegOrder::AgentFirst => (AGENT, self.near(&order.near, engine).ok()?),
            LegOrder::CustomerFirst => (CUSTOMER, self.customer_target(order, places.first()?)?),
        };
        let targets = vec![target];
        Some(Party { name, targets })
    }

    /// Where our own end is called: a phone registered with us, a full address, or an extension of a PBX.
    fn near(&self, near: &Near, engine: &SipEngine) -> Result<Target, &'static str> {
        let (dn, route) = match near {
            Near::Agent { dn, route, .. } => (dn, route.as_deref()),
            Near::Dn { dn, location } => (dn, Some(location.as_str())),
            Near::Nobody => return Err("a call needs an agent or a DN at our end"),
        };
        let way = match route {
            None | Some(REGISTRAR) => None,
            Some(name) => Some(
                &self
                    .named
                    .get(name)
                    .ok_or("the route to the DN is not configured")?
                    .0,
            ),
        };
        let address = address_of(dn);
        match (way, address) {
            (Some(way), Some(uri)) => Ok(way.address(uri, None)),
            (Some(way), None) => way
                .extension(dn)
                .ok_or("the DN cannot stand in a SIP address"),
            (None, Some(uri)) => Ok(Target::new(DIRECT, uri, self.direct.0.trunk())),
            (None, None) => {
                let mut target = engine
                    .contact_of(dn)
                    .ok_or("the agent's phone is not registered")?;
                target.route = REGISTRAR.to_owned();
                Ok(target)
            }
        }
    }

    /// The target that belongs to each place. The first is paid for; the others stand by.
    fn customer(
        &self,
        order: &Order,
        places: Places,
    ) -> Result<(Vec<Target>, Vec<Permit>), Unplaceable> {
        let placed: (Vec<Target>, Vec<Permit>) = places
            .into_permits()
            .into_iter()
            .filter_map(|permit| {
                let target = self.customer_target(order, permit.route().name())?;
                Some((target, permit))
            })
            .unzip();
        if placed.0.is_empty() {
            return Err(Unplaceable::NoRoute(
                "there is no place on a route to the customer",
            ));
        }
        Ok(placed)
    }

    /// VoIP goes to the customer's own server unless the queue says otherwise.
    fn customer_names<'a>(&self, order: &'a Order) -> Vec<&'a str> {
        match &order.contact {
            Contact::Voip(_) if order.routes.is_empty() => vec![DIRECT],
            Contact::Phone(_) | Contact::Voip(_) => {
                order.routes.iter().map(String::as_str).collect()
            }
            Contact::Email(_) => Vec::new(),
        }
    }

    fn customer_route(&self, order: &Order, name: &str) -> Option<&Arc<Route>> {
        match &order.contact {
            Contact::Voip(_) if name == DIRECT => Some(&self.direct.1),
            Contact::Phone(_) | Contact::Voip(_) => self.route(name),
            Contact::Email(_) => None,
        }
    }

    fn customer_target(&self, order: &Order, name: &str) -> Option<Target> {
        let caller_id = order.caller_id.as_deref();
        match &order.contact {
            Contact::Phone(number) => self.named.get(name)?.0.number(number, caller_id),
            Contact::Voip(address) => {
                let uri: SipUri = address.expose().parse().ok()?;
                if name == DIRECT {
                    return Some(Target::new(DIRECT, uri, self.direct.0.trunk()));
                }
                Some(self.named.get(name)?.0.address(uri, caller_id))
            }
            Contact::Email(_) => None,
        }
    }
}

fn near_route(near: &Near) -> Option<&str> {
    match near {
        Near::Agent { route, .. } => route.as_deref(),
        Near::Dn { location, .. } => Some(location),
        Near::Nobody => None,
    }
}

/// A DN that is a whole address: `sip:anna@example.com`, or `anna@example.com`.
fn address_of(dn: &str) -> Option<SipUri> {
    let whole = dn.starts_with("sip:") || dn.starts_with("sips:");
    if whole {
        dn.parse().ok()
    } else {
        dn.contains('@').then(|| format!("sip:{dn}").parse().ok())?
    }
}
