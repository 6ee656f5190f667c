-- Who holds a lease: a node and its start (`port::LeaseOwner`). NULL where nothing is leased. A
-- process that knows no owners leaves it NULL beside its leases: these end by their time.
ALTER TABLE deliveries ADD COLUMN lease_owner TEXT;
