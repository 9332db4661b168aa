"""Consume JOBS: ``worker`` pulls commands by priority, ``execution`` decides on ack, retry or dead letter.

``attempts`` counts attempts and has the delays between them.
"""
