"""What is done: one file a stage, plain functions on plain values, and the nouns they use.

Nothing here knows Prefect: `flows/steps.py` runs these functions as tasks, `flows/direct.py` runs them in this process.
"""
