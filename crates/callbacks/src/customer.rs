//! Who asked to be called back.

use crate::ids::{CustomerId, TenantId};
use crate::wire_time::stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A customer. Contacts found on their callbacks are kept with them, so that the next request by the
/// same number finds the same person.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    pub tenant: TenantId,
    pub id: CustomerId,
    pub name: Option<String>,
    /// Canonical contacts (E.164, `sip:…`, address).
    pub contacts: Vec<String>,
    /// IANA zone; stated zones win over what the number suggests.
    pub time_zone: Option<String>,
    pub do_not_call: bool,
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    pub revision: u64,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Name and contacts are personal: they never reach a log.
        f.debug_struct("Customer")
            .field("id", &self.id)
            .field("contacts", &self.contacts.len())
            .field("time_zone", &self.time_zone)
            .field("do_not_call", &self.do_not_call)
            .finish_non_exhaustive()
    }
}
