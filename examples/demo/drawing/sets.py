"""Where they sit: a studio with shelves, a workshop, a room above a harbour. Out of focus, 60 to 110 cm behind them."""

import numpy as np
import scene

RGB = tuple[float, float, float]
WOOD: RGB = (0.22, 0.10, 0.045)


def _books(left: float, right: float, shelf: float, y: float, colours: list[RGB], rng: np.random.Generator) -> None:
    x = left
    while x < right - 2:
        wide, tall = rng.uniform(1.4, 3.6), rng.uniform(12, 19)
        cover = scene.material("book", colours[rng.integers(len(colours))], Roughness=0.6)
        scene.box(
            "book", (x, y - 14, shelf), (x + wide, y - 2, shelf + tall), cover, 0.2, 6.0 if rng.random() < 0.12 else 0
        )
        x += wide + 0.25 + (5 if rng.random() < 0.08 else 0)


def _plant(at: tuple[float, float, float], size: float, num: int, pot: RGB, rng: np.random.Generator) -> None:
    scene.ball("pot", at, (size * 0.36, size * 0.36, size * 0.36), scene.material("pot", pot, Roughness=0.5))
    for index in range(num):
        turn, lean, long = index * 2.4, rng.uniform(0.15, 1.05), size * rng.uniform(0.7, 1.15)
        t = np.linspace(0, 1, 12)
        spine = np.stack(
            [np.sin(lean * t) * np.cos(turn), np.sin(lean * t) * np.sin(turn), np.cos(lean * t) - 0.45 * t**2 * lean],
            -1,
        )
        spine = np.array(at) + spine * t[:, None] * long + (0, 0, size * 0.2)
        side = np.array((-np.sin(turn), np.cos(turn), 0.1)) * size * 0.13
        body = np.sin(np.pi * np.clip(t * 0.95 + 0.05, 0, 1))[:, None] * side
        leaf = np.stack([spine - body, spine - (0, 0, size * 0.02), spine + body], 1).reshape(-1, 3)
        green = scene.material("leaf", tuple(np.array((0.035, 0.14, 0.05)) * rng.uniform(0.6, 1.7)), Roughness=0.4)
        scene.mesh("leaf", leaf, scene.grid_faces(12, 3), green)


def studio() -> None:
    """Shelves with books, plants and lamps before a dark green wall."""
    rng = np.random.default_rng(11)
    wall = scene.material("wall", (0.020, 0.075, 0.075), Roughness=0.9)
    scene.box("wall", (-150, 110, -120), (150, 112, 120), wall, 0)
    wood = scene.roughen(scene.material("wood", WOOD, Roughness=0.5), 0.6, 0.1, (0.1, 1, 3))
    covers = [
        (0.36, 0.05, 0.025),
        (0.45, 0.20, 0.03),
        (0.42, 0.33, 0.21),
        (0.025, 0.09, 0.13),
        (0.17, 0.02, 0.045),
        (0.04, 0.12, 0.08),
    ]
    for height in (-42, -16, 10, 36):
        scene.box("shelf", (-95, 90, height - 2), (95, 110, height), wood, 0.4)
    for x in (-62, -20, 22, 64):
        scene.box("post", (x - 1, 91, -80), (x + 1, 110, 80), wood, 0.3)
    for left, right, shelf in (
        (-60, -34, 10),
        (-18, -2, 10),
        (38, 62, 10),
        (-60, -44, -16),
        (24, 48, -16),
        (-58, -30, -42),
        (26, 62, -42),
        (0, 20, 10),
        (-16, 18, -16),
    ):
        _books(left, right, shelf, 108, covers, rng)
    _plant((30, 97, 14), 15, 16, (0.6, 0.28, 0.16), rng)
    _plant((-37, 97, -12), 17, 18, (0.75, 0.7, 0.62), rng)
    _plant((57, 96, -12), 14, 14, (0.10, 0.22, 0.28), rng)
    scene.ball("lamp", (-27, 98, 16.5), (5.5, 5.5, 5.5), scene.glow("globe", (1, 0.48, 0.16), 4))
    scene.ball("lamp", (53, 98, -37), (4.5, 4.5, 4.5), scene.glow("globe", (1, 0.48, 0.16), 4))
    scene.light((-27, 84, 18), (-27, 110, 14), 12, 2.2e4, (1, 0.65, 0.35))
    scene.light((40, 60, 40), (30, 110, -10), 60, 0.5e5, (1, 0.82, 0.62))


def workshop() -> None:
    """A board with tools, a shelf of jars and a hanging lamp, in warm wood."""
    rng = np.random.default_rng(5)
    for index in range(26):
        shade = rng.uniform(0.75, 1.2)
        plank = scene.material("plank", tuple(np.array((0.17, 0.078, 0.032)) * shade), Roughness=0.7)
        x = -130 + index * 10
        scene.box("plank", (x, 96, -120), (x + 9.6, 99, 120), scene.roughen(plank, 0.8, 0.15, (3, 1, 0.1)), 0.4)
    steel = scene.material("steel", (0.45, 0.47, 0.50), Metallic=0.9, Roughness=0.35)
    red, blue = (
        scene.material("red", (0.45, 0.05, 0.03), Roughness=0.4),
        scene.material("blue", (0.04, 0.13, 0.28), Roughness=0.4),
    )
    ash = scene.material("ash", (0.55, 0.33, 0.15), Roughness=0.5)
    for x, grip in ((-52, ash), (-41, red), (44, ash), (54, blue)):  # hammers
        scene.box("grip", (x - 1.1, 90, -8), (x + 1.1, 93, 18), grip, 0.9)
        scene.box("hammer", (x - 5.5, 89, 17), (x + 5, 94, 22), steel, 1.2)
    for x, long, grip in (
        (-30, 26, red),
        (-24.5, 22, red),
        (26, 24, blue),
        (32, 20, ash),
        (-62, 22, blue),
        (63, 24, red),
    ):  # drivers
        scene.tube("blade", np.array([(x, 92, 6), (x, 92, 6 + long * 0.55)]), 0.5, steel)
        scene.ball("grip", (x, 92, 6 + long * 0.62), (1.7, 1.7, 5.0), grip)
    paper = scene.material("paper", (0.50, 0.43, 0.32), Roughness=0.9)
    for x, z, lean in ((-13, 17, -4), (14, 20, 3)):  # drawings pinned to the wall
        scene.box("paper", (x - 6.5, 95.2, z - 9), (x + 6.5, 95.5, z + 9), paper, 0, lean)
        scene.ball("pin", (x, 94.8, z + 8), (0.6, 0.6, 0.6), red)
    shelf = scene.material("shelf", WOOD, Roughness=0.5)
    scene.box("shelf", (-90, 80, -24), (-18, 97, -21.5), shelf, 0.4)
    scene.box("shelf", (20, 80, -24), (90, 97, -21.5), shelf, 0.4)
    jars = [(0.55, 0.30, 0.06), (0.10, 0.26, 0.24), (0.48, 0.10, 0.05), (0.60, 0.55, 0.45), (0.12, 0.16, 0.30)]
    for x in (*range(-68, -20, 9), *range(24, 72, 9)):
        high = rng.uniform(8, 13)
        glass = scene.material("jar", jars[rng.integers(5)], Roughness=0.12, Coat_Weight=0.6)
        scene.box("jar", (x - 3.4, 83, -21.4), (x + 3.4, 90, -21.4 + high), glass, 2.0)
        scene.box("lid", (x - 3.0, 83.5, -21.4 + high), (x + 3.0, 89.5, -19.6 + high), steel, 0.6)
    scene.tube("wire", np.array([(-36, 70, 90), (-36, 70, 25)]), 0.3, steel)
    scene.ball("shade", (-36, 70, 25), (8, 8, 4.5), scene.material("shade", (0.03, 0.10, 0.08), Roughness=0.3))
    scene.ball("bulb", (-36, 70, 21.4), (3.2, 3.2, 3.2), scene.glow("bulb", (1, 0.55, 0.22), 9))
    scene.light((-36, 68, 18), (-36, 90, -10), 8, 4e4, (1, 0.7, 0.4))
    scene.light((30, 40, 70), (10, 97, -5), 70, 1.1e5, (1, 0.85, 0.66))


def _boat(x: float, y: float, size: float, hull: RGB, sail: RGB) -> None:
    scene.ball("hull", (x, y, -112), (size, size * 0.3, size * 0.16), scene.material("hull", hull, Roughness=0.5))
    scene.tube(
        "mast",
        np.array([(x, y, -112), (x, y, -112 + size * 1.9)]),
        size * 0.018,
        scene.material("mast", (0.3, 0.2, 0.12)),
    )
    cloth = scene.material("sail", sail, Roughness=0.8, Emission_Color=(*sail, 1), Emission_Strength=0.45)
    for reach, top in ((0.85, 1.8), (-0.6, 1.5)):
        corners = np.array(
            [
                (x + reach * 0.05 * size, y, -112 + 0.25 * size),
                (x + reach * size, y, -112 + 0.28 * size),
                (x + reach * 0.05 * size, y, -112 + top * size),
            ]
        )
        scene.mesh("sail", corners, np.array([(0, 1, 2)]), cloth)


def harbour() -> None:
    """A window over a bay in the morning: hills, boats, a crane, a pot on the sill."""
    rng = np.random.default_rng(2)
    v = np.linspace(0, 1, 64)
    stops = np.array([(0.95, 0.52, 0.25), (0.85, 0.60, 0.42), (0.34, 0.55, 0.70), (0.10, 0.30, 0.58)])
    sky = np.stack([np.interp(v, (0.2, 0.34, 0.55, 0.9), stops[:, k]) for k in range(3)], -1)
    points = np.array([(x, 9000, -600 + 2200 * h) for h in v for x in (-7000, 7000)])
    scene.mesh("sky", points, scene.grid_faces(64, 2), scene.painted_glow("sky", 1.25), np.repeat(sky, 2, 0))
    sea = scene.roughen(
        scene.material(
            "sea", (0.05, 0.20, 0.25), Roughness=0.25, Emission_Color=(0.10, 0.32, 0.40, 1), Emission_Strength=0.35
        ),
        0.02,
        0.35,
        (0.4, 2, 1),
    )
    scene.box("sea", (-8000, 400, -130), (8000, 8990, -120), sea, 0)
    for y, shade, tall, shift in ((8400, (0.36, 0.47, 0.56), 620, 0.0), (6800, (0.20, 0.32, 0.38), 330, 1.9)):
        x = np.linspace(-6500, 6500, 120)
        ridge = -120 + tall * (
            0.45 + 0.3 * np.sin(x / 1300 + shift) + 0.17 * np.sin(x / 520 + 2 * shift) + 0.05 * np.sin(x / 170)
        )
        land = np.stack(
            [np.stack([x, np.full(120, y), np.full(120, -140.0)], -1), np.stack([x, np.full(120, y), ridge], -1)], 1
        ).reshape(-1, 3)
        scene.mesh("hills", land, scene.grid_faces(120, 2), scene.glow("hill", shade, 0.75))
    walls = ((0.60, 0.22, 0.12), (0.66, 0.44, 0.20), (0.70, 0.60, 0.46), (0.46, 0.14, 0.10), (0.40, 0.36, 0.36))
    for x in np.arange(-2600, 2600, 150):
        tone = walls[rng.integers(len(walls))]
        high = rng.uniform(70, 190)
        scene.box(
            "house",
            (x, 5600, -120),
            (x + rng.uniform(90, 145), 5700, -120 + high),
            scene.material("house", tone, Emission_Color=(*tone, 1), Emission_Strength=0.3),
            4,
        )
    for x, y, size, hull, sail in (
        (-420, 2900, 130, (0.5, 0.08, 0.05), (0.9, 0.86, 0.78)),
        (430, 2500, 105, (0.05, 0.12, 0.25), (0.86, 0.52, 0.28)),
        (1150, 4700, 180, (0.7, 0.68, 0.62), (0.92, 0.9, 0.86)),
        (-1180, 4900, 170, (0.08, 0.2, 0.2), (0.9, 0.8, 0.66)),
    ):
        _boat(x, y, size, hull, sail)
    frame = scene.material("frame", (0.62, 0.58, 0.52), Roughness=0.55)
    plaster = scene.material("plaster", (0.32, 0.16, 0.09), Roughness=0.9)
    scene.box("wall", (-140, 70, -90), (-47, 74, 120), plaster, 0)
    scene.box("wall", (47, 70, -90), (140, 74, 120), plaster, 0)
    scene.box("wall", (-140, 70, -140), (140, 74, -36), plaster, 0)
    for low, high in (
        ((-49, 66, -38), (49, 80, -34.5)),
        ((-49, 68, -38), (-45, 76, 120)),
        ((45, 68, -38), (49, 76, 120)),
        ((-24, 70, -36), (-21.6, 74, 120)),
        ((21.6, 70, -36), (24, 74, 120)),
        ((-49, 70.6, 19), (49, 74.8, 21.4)),
    ):
        scene.box("frame", low, high, frame, 0.5)
    _plant((36, 62, -29), 13, 16, (0.55, 0.22, 0.12), rng)
    scene.light((-60, 30, 60), (-80, 70, 0), 50, 5e4, (1, 0.86, 0.7))
