"""What others do for us: a folder a role, its Protocol in `__init__`, one file an engine.

An engine is named by text and imported only when asked for; it runs or fails, and never becomes another in silence.
"""
