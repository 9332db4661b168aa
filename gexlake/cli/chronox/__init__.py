"""The commands of minute bars: the registry of symbols, and the gaps."""
