"""Open files by URL: the network gate, HTTP and local folders."""
