-- Statements are planned once and kept, and may be planned while a table (or a month's partition) is still empty. Then all
-- indexes look equally cheap, whatever has to be run through in them: "the interaction of this id" was looked for in the
-- list of a customer's, because that ends in the id, and "the attempt of this id" among all attempts of the tenant. With
-- a condition that only lists and the upkeep name, an index is no candidate for anything else.
DROP INDEX interactions_newest;
DROP INDEX interactions_by_customer;
DROP INDEX attempts_of;
DROP INDEX slot_holds_expiring;
CREATE INDEX interactions_newest ON interactions (tenant, created_at, id) WHERE created_at >= 0;
CREATE INDEX interactions_by_customer ON interactions (tenant, customer, created_at, id) WHERE customer IS NOT NULL;
CREATE INDEX attempts_of ON attempts (tenant, callback, number) WHERE number > 0;
CREATE INDEX slot_holds_expiring ON slot_places (expires_at) WHERE expires_at > 0;

-- Every statement that writes a row reads each CHECK of its table from its stored form first: a dozen of them took longer
-- than the row. What they say stays, in one for each table.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT conrelid::regclass AS of_table, conname FROM pg_constraint
        WHERE contype = 'c' AND conrelid IN ('interactions'::regclass, 'callbacks'::regclass, 'attempts'::regclass,
            'events'::regclass, 'customers'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.of_table, one.conname);
    END LOOP;
END $$;

ALTER TABLE customers ADD CONSTRAINT customers_whole CHECK (length(id) BETWEEN 1 AND 16 AND revision > 0);

ALTER TABLE interactions ADD CONSTRAINT interactions_whole CHECK (
    CASE WHEN entity_type = 5 THEN doc IS NULL AND num_nulls(queue, search) = 0
    ELSE doc IS NOT NULL AND num_nonnulls(queue, search) = 0 END);

-- The states of the life cycle, each with exactly what belongs to it. The commonest come first.
ALTER TABLE callbacks ADD CONSTRAINT callbacks_whole CHECK (
    CASE
        WHEN state IN ('scheduled', 'received')
            THEN wakes_at IS NOT NULL AND num_nonnulls(since, transferred_to, agent, seat, claim_node, claim_boot,
                claim_until, attempt, ended_at) = 0
        WHEN state IN ('assigned', 'dialling', 'talking', 'offered')
            THEN num_nulls(wakes_at, seat, claim_node, claim_boot, claim_until) = 0 AND fence > 0
                AND num_nonnulls(since, transferred_to, ended_at) = 0
                AND (attempt IS NOT NULL) = (state IN ('dialling', 'talking'))
                AND seat IN ('agent', 'dn', 'template') AND (agent IS NOT NULL) = (seat = 'agent')
                AND (agent IS NOT NULL OR state <> 'offered')
        WHEN state IN ('queued', 'transferred')
            THEN since IS NOT NULL AND (transferred_to IS NOT NULL) = (state = 'transferred')
                AND num_nonnulls(agent, seat, claim_node, claim_boot, claim_until, attempt, ended_at) = 0
        WHEN state = 'wrap_up'
            THEN num_nulls(wakes_at, agent, seat) = 0 AND seat = 'agent'
                AND num_nonnulls(since, transferred_to, claim_node, claim_boot, claim_until, attempt, ended_at) = 0
        ELSE state IN ('done', 'cancelled', 'exhausted', 'refused', 'failed', 'replaced', 'expired')
            AND ended_at IS NOT NULL AND num_nonnulls(wakes_at, since, transferred_to, agent, seat, claim_node,
                claim_boot, claim_until, attempt) = 0
    END
    AND (status = 3) = (ended_at IS NOT NULL) AND status BETWEEN 0 AND 3 AND callback_status BETWEEN 0 AND 14
    AND fence >= 0 AND revision > 0);

ALTER TABLE attempts ADD CONSTRAINT attempts_whole CHECK (
    number > 0 AND fence > 0 AND num_nulls(ended_at, outcome, verdict) IN (0, 3) AND (NOT counted OR ended_at IS NOT NULL));

ALTER TABLE events ADD CONSTRAINT events_whole CHECK (
    number > 0 AND num_nulls(personal, salt) IN (0, 2) AND (personal IS NULL OR personal_hash IS NOT NULL));
