"""The commands of minute bars: symbols, runs, gaps and the schedule."""
