"""The whole market in one process on virtual time: one seed, the same bytes, full speed."""
