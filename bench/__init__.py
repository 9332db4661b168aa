"""Generated trading days, a stand-in of the vendor, the stack as processes, and the demo on them."""
