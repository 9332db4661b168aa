"""What the lake has of minute bars, and the gaps: found, told from minutes without trades, remembered."""
