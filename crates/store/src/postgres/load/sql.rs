//! How rows are looked up by many keys.
//!
//! Keys are looked up one by one: with a join the other way round would be open too (run through the table and look each
//! row up among the keys), and to a planner that takes the table for empty it looks as good.

pub(super) const CALLBACKS: &str = "
    SELECT c.tenant, c.id, c.doc, c.writes FROM unnest($1::text[], $2::uuid[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM callbacks WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS c";

pub(super) const ATTEMPTS: &str = "
    SELECT a.tenant, a.id, a.callback, a.number, a.channel, a.route, a.agent, a.dn, a.contact, a.by_mail, a.fence,
        a.began_at, a.answered_at, a.ended_at, a.counted, a.outcome, a.legs
    FROM unnest($1::text[], $2::uuid[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM attempts WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS a";

pub(super) const OF_ATTEMPTS: &str = "
    SELECT c.tenant, c.id, c.doc, c.writes FROM unnest($1::text[], $2::uuid[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM attempts WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS a
    CROSS JOIN LATERAL (SELECT * FROM callbacks WHERE tenant = a.tenant AND id = a.callback LIMIT 1) AS c";

pub(super) const QUEUES: &str = "
    SELECT q.tenant, q.id, q.doc, q.dialling_paused, q.removed, q.revision, q.created_at
    FROM unnest($1::text[], $2::text[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM queues WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS q";

pub(super) const CUSTOMERS: &str = "
    SELECT c.tenant, c.id, c.name, c.time_zone, c.do_not_call, c.created_at, c.revision, c.contacts
    FROM unnest($1::text[], $2::text[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM customers WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS c";

pub(super) const CONTACTS: &str = "
    SELECT k.tenant, k.contact, k.customer,
        c.tenant, c.id, c.name, c.time_zone, c.do_not_call, c.created_at, c.revision, c.contacts
    FROM unnest($1::text[], $2::text[]) AS u(tenant, contact)
    CROSS JOIN LATERAL (SELECT * FROM customer_contacts WHERE tenant = u.tenant AND contact = u.contact LIMIT 1) AS k
    LEFT JOIN LATERAL (SELECT * FROM customers WHERE tenant = k.tenant AND id = k.customer LIMIT 1) AS c ON TRUE";

pub(super) const CALLS: &str = "
    SELECT u.tenant, u.contact, r.attempt, r.callback, r.began_at, r.in_call, r.rang
    FROM unnest($1::text[], $2::text[]) AS u(tenant, contact)
    CROSS JOIN LATERAL (
        SELECT * FROM recent_calls c WHERE c.tenant = u.tenant AND c.contact = u.contact
            AND (c.in_call OR c.began_at > $3)
        ORDER BY c.in_call DESC, c.began_at DESC LIMIT $4) AS r";

pub(super) const OPEN: &str = "
    SELECT u.tenant, u.contact, o.id, o.doc, o.writes FROM unnest($1::text[], $2::text[]) AS u(tenant, contact)
    CROSS JOIN LATERAL (
        SELECT c.id, c.doc, c.writes FROM callback_contacts k
        CROSS JOIN LATERAL (SELECT * FROM callbacks WHERE tenant = k.tenant AND id = k.callback LIMIT 1) AS c
        WHERE k.tenant = u.tenant AND k.contact = u.contact AND c.status <> 3
        ORDER BY k.created_at, k.callback LIMIT $3) AS o";

pub(super) const AGENTS: &str = "
    SELECT a.tenant, a.id, a.name, a.dn, a.route, a.presence, a.auto_accept, a.engaged, a.idle_since, a.revision,
        a.queues
    FROM unnest($1::text[], $2::bigint[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM agents WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS a";

pub(super) const INTERACTIONS: &str = "
    SELECT i.tenant, i.id, i.allow_children, i.thread FROM unnest($1::text[], $2::uuid[]) AS u(tenant, id)
    CROSS JOIN LATERAL (SELECT * FROM interactions WHERE tenant = u.tenant AND id = u.id LIMIT 1) AS i";

pub(super) const BOOKED: &str = "
    SELECT s.tenant, s.queue, s.starts_at, s.booked
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS u(tenant, queue, first, behind)
    CROSS JOIN LATERAL (SELECT * FROM slot_counts
        WHERE tenant = u.tenant AND queue = u.queue AND starts_at >= u.first AND starts_at < u.behind OFFSET 0) AS s";

pub(super) const HELD: &str = "
    SELECT s.tenant, s.queue, s.starts_at, s.expires_at, s.holder
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS u(tenant, queue, first, behind)
    CROSS JOIN LATERAL (SELECT * FROM slot_places
        WHERE tenant = u.tenant AND queue = u.queue AND starts_at >= u.first AND starts_at < u.behind
            AND expires_at IS NOT NULL OFFSET 0) AS s";

pub(super) const ANSWERS: &str = "
    SELECT k.tenant, k.application, k.key, k.fingerprint, k.answer
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS u(tenant, application, key)
    CROSS JOIN LATERAL (SELECT * FROM idempotency
        WHERE tenant = u.tenant AND application = u.application AND key = u.key LIMIT 1) AS k
    WHERE k.expires_at > $4";
