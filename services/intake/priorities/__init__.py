"""How urgent a request is: rules, the facts that their conditions read, and the score that comes of it.

``grammar`` says which expressions are taken, ``conditions`` evaluates them, ``facts`` lists what they may
read, ``scoring`` lets the rules decide, ``default_rules`` has those of a new deployment, and ``rule_store``
keeps them in the bucket RULES.
"""
