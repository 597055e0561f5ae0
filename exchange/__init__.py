"""The exchange: it merges the sources, matches orders, keeps the books and tells everyone."""
