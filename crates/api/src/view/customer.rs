//! A customer, as clients see them.

use super::date;
use ringback_callbacks::customer::Customer;
use serde::Serialize;
use utoipa::ToSchema;

/// Who asked to be called back.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerView {
    /// At most 16 characters.
    pub customer_id: String,
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Contacts found on their callbacks, in canonical form.
    pub contacts: Vec<String>,
    /// IANA time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub time_zone: Option<String>,
    /// They asked never to be called.
    pub do_not_call: bool,
    /// When they were first met.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Grows with every change; also the `ETag`.
    pub revision: u64,
}

impl CustomerView {
    pub fn new(customer: &Customer) -> Self {
        CustomerView {
            customer_id: customer.id.to_string(),
            name: customer.name.clone(),
            contacts: customer.contacts.clone(),
            time_zone: customer.time_zone.clone(),
            do_not_call: customer.do_not_call,
            created_at: date(customer.created_at),
            revision: customer.revision,
        }
    }
}
