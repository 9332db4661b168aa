"""The words of Unusual Whales: its topics, and the option symbols of the OCC that it sends."""
