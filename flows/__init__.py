"""When things run: order, fan-out, retries, limits. `pipeline.py` has the whole of it on one screen."""
