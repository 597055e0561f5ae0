"""The markets that the benchmark of the simulation compares, and the work that all are given."""
