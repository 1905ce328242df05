"""Which mesh point is what: index lists of the 468-point face mesh.

Points are numbered as in MediaPipe's canonical face mesh. "Left" and "right" are the viewer's. Knows no picture.
"""

NUM_POINTS = 468

UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
"""Upper edge of the upper lip, corner to corner, left to right; the other lip lines run the same way."""
UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)

UPPER_LIP = frozenset(
    UPPER_OUTER
    + UPPER_INNER
    + (12, 38, 268, 72, 302, 73, 303, 74, 304, 11, 41, 271, 42, 272, 183, 407, 184, 408, 62, 292, 76, 306)
)
LOWER_LIP = frozenset(
    LOWER_OUTER
    + LOWER_INNER
    + (15, 86, 316, 16, 85, 315, 87, 317, 179, 403, 180, 404, 89, 319, 90, 320, 96, 325, 77, 307, 88, 318)
)
LIP_PAIRS = (
    *zip(UPPER_OUTER, LOWER_OUTER, strict=True),
    *zip(UPPER_INNER, LOWER_INNER, strict=True),
    *((12, 15), (11, 16), (38, 86), (268, 316), (72, 85), (302, 315), (41, 179), (271, 403), (42, 89), (272, 319)),
    *((73, 180), (303, 404), (74, 90), (304, 320), (183, 96), (407, 325), (184, 77), (408, 307)),
)
"""Points that face each other across the lip line: (upper, lower)."""

MOUTH_CORNERS_OUTER = (61, 291)
MOUTH_CORNERS_INNER = (78, 308)
LIP_CENTRE_UPPER, LIP_CENTRE_LOWER = 13, 14
EYE_CORNERS_OUTER = (33, 263)
NOSE_TIP, CHIN, LOWER_LIP_EDGE = 1, 152, 17
JAW_HINGES = (132, 361)

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The outline of the face, clockwise from the forehead."""

EYES = (
    {
        "upper": (33, 246, 161, 160, 159, 158, 157, 173, 133),
        "lower": (33, 7, 163, 144, 145, 153, 154, 155, 133),
        "brow": (70, 63, 105, 66, 107),
    },
    {
        "upper": (362, 398, 384, 385, 386, 387, 388, 466, 263),
        "lower": (362, 382, 381, 380, 374, 373, 390, 249, 263),
        "brow": (336, 296, 334, 293, 300),
    },
)
BROW_CORE = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
BROW_UNDERSIDE = (46, 53, 52, 65, 55, 276, 283, 282, 295, 285)
FOREHEAD_LOW = (108, 69, 104, 68, 151, 337, 299, 333, 298)
BROW_TOPS = (105, 334, 63, 293)
CHEEKS = (50, 280, 205, 425, 101, 330)
SYMMETRIC = ((33, 263), (133, 362), (234, 454), (93, 323), (61, 291), (50, 280), (205, 425))
"""Left and right points whose difference in depth tells how far the head is turned."""
