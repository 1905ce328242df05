"""The embedded draft renderer: a portrait warped by the sounds it speaks; numpy and OpenCV, no torch."""
