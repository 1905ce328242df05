"""Where it runs: images, workers, limits, buckets."""
