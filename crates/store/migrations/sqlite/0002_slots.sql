-- Places taken in slots. A slot itself is nowhere stored: it follows from the queue's clock and rules. A row is
-- written, moved and deleted in the transaction that writes the callback it belongs to.
CREATE TABLE slot_places (
    tenant     TEXT NOT NULL,
    -- The callback's id; or that of a hold, which keeps a place while a form is filled in.
    holder     BLOB NOT NULL CHECK (length(holder) = 16),
    queue      TEXT NOT NULL,
    -- When the slot began that it was taken of.
    starts_at  INTEGER NOT NULL,
    -- Whose callback it is; null for a hold.
    customer   TEXT,
    -- When a hold ends by itself; null for a callback.
    expires_at INTEGER,
    PRIMARY KEY (tenant, holder),
    FOREIGN KEY (tenant, queue) REFERENCES queues (tenant, id),
    CHECK ((customer IS NULL) <> (expires_at IS NULL))
) STRICT;

CREATE INDEX slot_places_at ON slot_places (tenant, queue, starts_at);
CREATE INDEX slot_places_of ON slot_places (tenant, queue, customer) WHERE customer IS NOT NULL;
CREATE INDEX slot_places_expiring ON slot_places (expires_at) WHERE expires_at IS NOT NULL;
