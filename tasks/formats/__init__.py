"""Text in, text out: the formats that people and other programs write."""
