"""How urgent a request is, by rules.

``grammar`` says which conditions are taken, ``conditions`` evaluates them, ``facts`` lists what they read,
``scoring`` lets the rules decide, and ``default_rules`` has those of a new deployment. ``rules`` follows the
bucket RULES, and ``rule_store`` writes it.
"""
