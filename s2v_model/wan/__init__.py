"""Wan2.2-S2V-14B, exact: the final-quality renderer. torch is imported only below this folder."""
