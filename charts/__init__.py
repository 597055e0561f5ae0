"""Candles, indicators and the live page: a reader of the market like any other."""
