"""HTTP in, one domain call, HTTP out; no market rule lives here."""
