"""A local fake of Massive (formerly Polygon.io): REST, flat files and the websocket, with injected faults."""
