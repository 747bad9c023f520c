-- What a planned queue has learned from what happened: a cache of experience, never the record itself.
CREATE TABLE learned (
    tenant TEXT NOT NULL,
    queue  TEXT NOT NULL,
    -- Figures by name, as the planner writes them.
    doc    TEXT NOT NULL CHECK (json_valid(doc)),
    PRIMARY KEY (tenant, queue),
    FOREIGN KEY (tenant, queue) REFERENCES queues (tenant, id)
) STRICT;
