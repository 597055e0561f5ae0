"""Live risk of portfolios: a reader of the exchange's stream that tells what could be lost."""
