"""The servers that the benchmark of the stream starts, each a program of its own, and its load."""
