"""Runs all processes of the market: starts, watches, restarts and ends them, says how they are."""
