"""The registry of symbols: ``known`` follows the bucket SYMBOLS, and ``store`` writes it."""
