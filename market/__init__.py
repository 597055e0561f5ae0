"""The shared words of the market, then the pipes that carry them; every package may import it."""
