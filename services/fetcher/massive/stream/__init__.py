"""The vendor's websocket of minute bars."""
