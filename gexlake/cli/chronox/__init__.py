<<<<<<< HEAD
"""The commands of minute bars: symbols, runs, gaps and the schedule."""
=======
"""``gexlake chronox``: run the registered symbols, once or as a daemon, and test snapshots."""
>>>>>>> d3f0046e (gexlake: run the registered symbols by command, with the first system's log)
