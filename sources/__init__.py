"""Price processes over server-sent events: one source a symbol."""
