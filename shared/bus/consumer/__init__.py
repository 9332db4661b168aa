"""Consume JOBS: ``worker`` runs commands, ``execution`` decides on ack, retry or dead letter.

``scheduling`` chooses the next command by level and deadline, among the ``windows`` of messages in hand.

``attempts`` counts attempts and has the delays between them.
"""
