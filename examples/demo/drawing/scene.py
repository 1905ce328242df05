"""Blender, by a few plain functions: materials, meshes from arrays, strands, boxes, lights, a camera, a picture.

Lengths in cm, colours linear RGB. Knows no person.
"""

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Vector  # comes with bpy

Array = np.ndarray
Point = tuple[float, float, float]
RGB = tuple[float, float, float]


def begin() -> None:
    """An empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def material(name: str, colour: RGB | None = None, **inputs: Any) -> Any:
    """A principled material; without a colour it takes the mesh's own paint. Inputs by name, `_` for a space."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface = nodes["Principled BSDF"]
    if colour is None:
        painted = nodes.new("ShaderNodeVertexColor")
        painted.layer_name = "paint"
        links.new(painted.outputs["Color"], surface.inputs["Base Color"])
    else:
        surface.inputs["Base Color"].default_value = (*colour, 1)
    for key, value in inputs.items():
        surface.inputs[key.replace("_", " ")].default_value = value
    return made


def roughen(made: Any, scale: float, strength: float, stretch: Point = (1, 1, 1)) -> Any:
    """Adds fine relief to a material: grain of `scale` per cm."""
    nodes, links = made.node_tree.nodes, made.node_tree.links
    where, fit = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    grain, bump = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeBump")
    fit.inputs["Scale"].default_value = stretch
    grain.inputs["Scale"].default_value = scale
    bump.inputs["Strength"].default_value = strength
    links.new(where.outputs["Object"], fit.inputs["Vector"])
    links.new(fit.outputs["Vector"], grain.inputs["Vector"])
    links.new(grain.outputs["Fac"], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], nodes["Principled BSDF"].inputs["Normal"])
    return made


def glow(name: str, colour: RGB, strength: float) -> Any:
    """A material that shines."""
    return material(name, (0, 0, 0), Emission_Color=(*colour, 1), Emission_Strength=strength)


def hair_material(name: str, colour: RGB, roughness: float = 0.35) -> Any:
    """Strands of one colour, a little different from one another."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    shader, out = nodes.new("ShaderNodeBsdfHairPrincipled"), nodes.new("ShaderNodeOutputMaterial")
    shader.parametrization = "COLOR"
    shader.inputs["Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Radial Roughness"].default_value = roughness + 0.1
    shader.inputs["Random Roughness"].default_value = 0.3
    links.new(shader.outputs[0], out.inputs["Surface"])
    return made


def _add(name: str, shape: Any, made: Any) -> Any:
    thing = bpy.data.objects.new(name, shape)
    bpy.context.collection.objects.link(thing)
    shape.materials.append(made)
    return thing


def mesh(name: str, points: Array, faces: Array, made: Any, colours: Array | None = None) -> Any:
    """A smooth mesh from vertices and faces, painted per vertex where colours (n, 3) are given."""
    shape = bpy.data.meshes.new(name)
    shape.from_pydata(points.tolist(), [], faces.tolist())
    shape.shade_smooth()
    if colours is not None:
        paint = shape.color_attributes.new("paint", "FLOAT_COLOR", "POINT")
        rgba = np.concatenate([np.clip(colours, 0, 1), np.ones((len(points), 1))], 1)
        paint.data.foreach_set("color", rgba.astype(np.float32).ravel())
    return _add(name, shape, made)


def strands(name: str, paths: Array, radius: Array, made: Any) -> Any:
    """Hair: paths (n, k, 3), radius (k,) from root to tip."""
    num, steps, _ = paths.shape
    shape = bpy.data.hair_curves.new(name)
    shape.add_curves([steps] * num)
    shape.attributes["position"].data.foreach_set("vector", paths.astype(np.float32).ravel())
    if "radius" not in shape.attributes:
        shape.attributes.new("radius", "FLOAT", "POINT")
    shape.attributes["radius"].data.foreach_set("value", np.tile(radius.astype(np.float32), num))
    return _add(name, shape, made)


def box(name: str, low: Point, high: Point, made: Any, bevel: float = 0.3, turn: float = 0.0) -> Any:
    """An upright box with softened edges, turned about its own middle (degrees)."""
    middle, half = (np.array(low) + high) / 2, (np.array(high) - low) / 2
    corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * half
    sides = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    thing = mesh(name, corners, sides, made)
    thing.location, thing.rotation_euler = middle.tolist(), (0, math.radians(turn), 0)
    if bevel:
        edge = thing.modifiers.new("edge", "BEVEL")
        edge.width, edge.segments = min(bevel, float(half.min()) * 0.9), 2
    return thing


def tube(name: str, path: Array, radius: float, made: Any, closed: bool = False) -> Any:
    """A round wire along path (n, 3)."""
    shape = bpy.data.curves.new(name, "CURVE")
    shape.dimensions, shape.bevel_depth, shape.bevel_resolution = "3D", radius, 4
    line = shape.splines.new("POLY")
    line.points.add(len(path) - 1)
    line.points.foreach_set("co", np.concatenate([path, np.ones((len(path), 1))], 1).ravel())
    line.use_cyclic_u, line.use_smooth = closed, True
    return _add(name, shape, made)


def ball(name: str, centre: Point, radii: Point, made: Any) -> Any:
    """An ellipsoid."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 49)[:-1], np.linspace(0, np.pi, 33), indexing="ij")
    unit = np.stack([np.sin(v) * np.cos(u), np.sin(v) * np.sin(u), np.cos(v)], -1).reshape(-1, 3)
    thing = mesh(name, unit * radii, grid_faces(48, 33, wrap=True), made)
    thing.location = centre
    return thing


def grid_faces(rows: int, columns: int, *, wrap: bool = False) -> Array:
    """Quads of a grid of rows x columns vertices, its last row joined to the first where it wraps."""
    i, j = np.meshgrid(np.arange(rows if wrap else rows - 1), np.arange(columns - 1), indexing="ij")
    here, down = i * columns + j, ((i + 1) % rows) * columns + j
    return np.stack([here, here + 1, down + 1, down], -1).reshape(-1, 4)[:, ::-1]


def light(at: Point, towards: Point, size: float, power: float, colour: RGB = (1, 1, 1)) -> Any:
    """A square lamp of `size` cm; power in W at this scale (a face 120 cm away needs about 10^5)."""
    lamp = bpy.data.lights.new("lamp", "AREA")
    lamp.size, lamp.energy, lamp.color = size, power, colour
    thing = bpy.data.objects.new("lamp", lamp)
    bpy.context.collection.objects.link(thing)
    thing.location = at
    thing.rotation_euler = _look(at, towards)
    return thing


def _look(at: Point, towards: Point) -> Any:
    return (Vector(towards) - Vector(at)).to_track_quat("-Z", "Y").to_euler()


def daylight(colour: RGB, strength: float) -> None:
    """Even light from everywhere."""
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value, sky.inputs["Strength"].default_value = (*colour, 1), strength


def take_picture(
    path: str, *, samples: int, scale: float, exposure: float, at: Point = (0, -175, -6), towards: Point = (0, 0, -7.5)
) -> None:
    """Renders 1600 x 1200 px times `scale`, in focus at the eyes."""
    scene = bpy.context.scene
    eye = bpy.data.cameras.new("camera")
    eye.lens, eye.sensor_width, eye.clip_end = 87, 36, 30000
    eye.dof.use_dof, eye.dof.focus_distance, eye.dof.aperture_fstop = True, abs(at[1]) - 7, 0.065
    thing = bpy.data.objects.new("camera", eye)
    bpy.context.collection.objects.link(thing)
    thing.location, thing.rotation_euler = at, _look(at, towards)
    scene.camera = thing
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = samples, True
    scene.cycles.adaptive_threshold = 0.04
    scene.cycles.max_bounces, scene.cycles.use_adaptive_sampling, scene.cycles.seed = 6, True, 1
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Punchy"
    scene.view_settings.exposure = exposure
    scene.render.resolution_x, scene.render.resolution_y = round(1600 * scale), round(1200 * scale)
    scene.render.filepath, scene.render.image_settings.file_format = path, "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    bpy.ops.render.render(write_still=True)


def turn(things: list[Any], *, yaw: float = 0, roll: float = 0, nod: float = 0) -> None:
    """Turns things together about the neck (degrees): yaw to the right of the picture, roll clockwise, nod down."""
    pivot = bpy.data.objects.new("pivot", None)
    bpy.context.collection.objects.link(pivot)
    pivot.location = (0, 2, -10)
    bpy.context.view_layer.update()
    for thing in things:
        thing.parent = pivot
        thing.matrix_parent_inverse = pivot.matrix_world.inverted()
    pivot.rotation_euler = (math.radians(nod), math.radians(roll), math.radians(yaw))


def everything() -> list[Any]:
    """All things that stand in the scene now."""
    return list(bpy.context.scene.objects)


def painted_glow(name: str, strength: float) -> Any:
    """A material that shines in the mesh's own paint."""
    made = material(name, (0, 0, 0), Emission_Strength=strength, Specular_IOR_Level=0.0)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    painted = nodes.new("ShaderNodeVertexColor")
    painted.layer_name = "paint"
    links.new(painted.outputs["Color"], nodes["Principled BSDF"].inputs["Emission Color"])
    return made
