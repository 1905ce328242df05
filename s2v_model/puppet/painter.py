"""A rig and a pose make one frame.

In: a `Rig` and pose rows (`pose.CHANNELS`). Out: RGB frames in one buffer that the next frame overwrites. The head's
turn and the face's own motion become one map, so every pixel is sampled once. Knows no time and no sound.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn_lids import draw_lid
from s2v_model.puppet.eyes import Eye, look, outline
from s2v_model.puppet.fields import Enlarger, Inverter, weighted_sum
from s2v_model.puppet.head import HEAD_LIMITS, HEAD_PARAMETERS
from s2v_model.puppet.matte import Run
from s2v_model.puppet.mouth import Opening, paint
from s2v_model.puppet.pose import CHANNEL, JAW_OPENING
from s2v_model.puppet.rig import TEXTURE_SCALE, Rig
from s2v_model.puppet.sheets import PARAMETERS
from s2v_model.puppet.strokes import Scratch, blurred, curve_weights, draw_outline

FloatArray = npt.NDArray[np.float64]

_LINEAR, _EDGE = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
_PARTED = 0.022
"""From this gap, relative, a portrait counts as open-mouthed."""
_UPPER, _LOWER = list(mesh.UPPER_INNER), list(mesh.LOWER_INNER)
_FACE = slice(0, len(PARAMETERS))
_HEAD = slice(CHANNEL[HEAD_PARAMETERS[0]], CHANNEL[HEAD_PARAMETERS[-1]] + 1)
_HEAD_LIMITS = np.array(HEAD_LIMITS, np.float32)
_SLIT = 0.006
"""Lips less far apart, relative, are closed."""
_JAW, _ROUND, _PRESS, _FV = (PARAMETERS.index(name) for name in ("jaw", "round", "press", "fv"))


class _Box(NamedTuple):
    """A part of the frame, and for each of its pixels (h, w, 2) where both sheets come from and where it lies."""

    rows: slice
    columns: slice
    upper: Float32Array
    """Px of the texture."""
    lower: Float32Array
    local: Float32Array
    """Relative."""


@dataclass(frozen=True, slots=True, eq=False)
class _Lips:
    """The inner lip lines of one frame in the face's local coordinates, relative; (11, 2) each, left to right."""

    upper: FloatArray
    lower: FloatArray
    jaw: float
    pucker: float
    activity: float
    """0 the portrait as it is .. 1 in motion."""

    @property
    def opening(self) -> float:
        return float((self.lower[:, 1] - self.upper[:, 1]).max())


class Painter:
    """Poses one rig; keeps its buffers, so one painter serves one thread."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        face, head, scale = rig.face_grid, rig.head_grid, TEXTURE_SCALE
        self._invert_face, self._invert_head = Inverter(face, 5), Inverter(head, 3)
        shape = (face.rows, face.columns, 2)
        self._forward, self._upper, self._lower = (np.empty(shape, np.float32) for _ in range(3))
        self._turn = np.empty((head.rows, head.columns, 2), np.float32)
        self._back = np.empty_like(self._turn)
        self._head_nodes = head.nodes().astype(np.float32)
        self._head_map = np.empty_like(self._turn)
        self._face_nodes = face.nodes().astype(np.float32)
        self._face_in_head = head.index_of(face.nodes()).astype(np.float32)
        self._dark = np.empty(shape[:2], np.float32)
        self._index = np.empty(shape, np.float32)
        self._from_upper, self._from_lower, self._local, self._at = (np.empty(shape, np.float32) for _ in range(4))
        self._scratch = Scratch()
        self._head_px, self._face_px = Enlarger(head), Enlarger(face)
        self._map = self._head_px.values
        self._rgba = np.empty((rig.height, rig.width, 4), np.uint8)
        self._rgb = rig.backdrop.plate.copy()
        self._to_local = (rig.shape.axes / rig.shape.unit).astype(np.float32)
        self._offset = np.float32((scale - 1) / 2)
        self._corner = np.array([face.left - 0.5, face.top - 0.5], np.float32)
        self._centre = rig.shape.centre.astype(np.float32)

    def paint(self, pose: Float32Array) -> UInt8Array:
        """The frame of `pose` (channels,): (height, width, 3) RGB; overwritten by the next call."""
        rig = self._rig
        self._turn_head(np.clip(pose[_HEAD], -_HEAD_LIMITS, _HEAD_LIMITS))
        weights = self._face_weights(pose)
        lips = self._lip_lines(weights)
        self._move_face(weights, lips)
        for run in rig.backdrop.runs:
            part = np.s_[run.top : run.bottom, run.left : run.right]
            cv2.remap(rig.texture, self._map[part], None, _LINEAR, dst=self._rgba[part], borderMode=_EDGE)
        mouth = self._draw_lips(lips)
        self._shade(pose[_FACE])
        if mouth is not None:
            self._draw_inside(mouth, lips, float(pose[CHANNEL["tongue"]]))
        for eye in rig.eyes:
            self._paint_eye(eye, pose)
        for run in rig.backdrop.runs:
            self._compose(run)
        return self._rgb

    def opening(self, pose: Float32Array) -> float:
        """How far apart the lips of `pose` are drawn, in eye distances."""
        return self._lip_lines(self._face_weights(pose)).opening

    def _compose(self, run: Run) -> None:
        """The person over the plate within `run`; outside the runs the plate is already there."""
        part = np.s_[run.top : run.bottom, run.left : run.right]
        person, out = self._rgba[part], self._rgb[part]
        cv2.cvtColor(person, cv2.COLOR_RGBA2RGB, dst=out)
        if run.mixed:
            share = self._scratch.bytes("share behind", *person.shape[:2])
            behind = self._scratch.bytes("behind", *out.shape)
            cv2.bitwise_not(cv2.extractChannel(person, 3, dst=share), dst=share)
            cv2.cvtColor(share, cv2.COLOR_GRAY2RGB, dst=behind)
            cv2.multiply(self._rig.backdrop.plate[part], behind, dst=behind, scale=1 / 255)
            cv2.add(out, behind, dst=out)

    def _face_weights(self, pose: Float32Array) -> Float32Array:
        weights = pose[_FACE].astype(np.float32)
        # Lips that are pressed are shut, whatever the jaw does.
        weights[_JAW] *= JAW_OPENING * (1 - 0.97 * pose[_PRESS]) * (1 - 0.80 * pose[_FV])
        held = 1 - min(1.0, float(max(weights[_PRESS], weights[_FV])))
        own_gap = max(0.0, self._rig.shape.gap - 0.012)
        weights[_JAW] -= 0.85 * own_gap * held * float(1 - pose[CHANNEL["own"]])
        return weights

    def _turn_head(self, weights: Float32Array) -> None:
        weighted_sum(self._rig.head_fields, weights, self._turn)
        self._invert_head(self._turn, self._back)
        np.add(self._head_nodes, self._back, out=self._head_map)
        self._head_map *= TEXTURE_SCALE
        self._head_map += self._offset
        self._head_px(self._head_map)

    def _move_face(self, weights: Float32Array, lips: _Lips) -> None:
        """Both sheets' sources and local coordinates at every node, and the map inside the face grid."""
        rig, scale = self._rig, TEXTURE_SCALE
        for fields, backward in ((rig.upper_fields, self._upper), (rig.lower_fields, self._lower)):
            weighted_sum(fields, weights, self._forward)
            self._invert_face(self._forward, backward)
        at, index = self._at, self._index
        cv2.remap(self._back, self._face_in_head, None, _LINEAR, dst=at, borderMode=_EDGE)
        at += self._face_nodes
        np.subtract(at, self._corner, out=index)
        index *= np.float32(1 / rig.face_grid.step)
        index -= np.float32(0.5)
        for moved, backward in ((self._from_upper, self._upper), (self._from_lower, self._lower)):
            cv2.remap(backward, index, None, _LINEAR, dst=moved, borderMode=_EDGE)
            np.add(np.multiply(np.add(moved, at, out=moved), scale, out=moved), self._offset, out=moved)
        at -= self._centre
        np.matmul(at, self._to_local.T, out=self._local)
        source = self._source(self._from_upper, self._from_lower, self._local, lips)
        self._face_px(source)
        x0, y0, x1, y1 = rig.face_grid.box
        np.copyto(self._map[y0:y1, x0:x1], self._face_px.values[: y1 - y0, : x1 - x0])

    def _shade(self, pose: Float32Array) -> None:
        """Darken the folds and hollows: after the lips, before the mouth's inside, which is lit by itself."""
        rig, grid = self._rig, self._rig.face_grid
        weighted_sum(rig.shade_fields, np.clip(pose, 0, 1), self._dark)
        if float(self._dark.max()) < 0.004:
            return
        room, (width, height) = self._scratch, grid.size_px
        here, light = room.floats("here", *self._dark.shape), room.bytes("light", *self._dark.shape)
        cv2.remap(self._dark, self._index, None, _LINEAR, dst=here, borderMode=_EDGE)
        np.subtract(1, here, out=here)
        here *= 255
        np.rint(here, out=here)
        np.copyto(light, here, casting="unsafe")
        grey, full = room.bytes("grey", height, width), room.bytes("shade", height, width, 4)
        cv2.cvtColor(cv2.resize(light, grid.size_px, dst=grey), cv2.COLOR_GRAY2RGBA, dst=full)
        x0, y0, x1, y1 = grid.box
        part = self._rgba[y0:y1, x0:x1]
        full = full[: part.shape[0], : part.shape[1]]
        full[..., 3] = 255
        cv2.multiply(part, full, dst=part, scale=1 / 255)

    def _lip_lines(self, weights: Float32Array) -> _Lips:
        rig = self._rig
        local = rig.shape.local
        upper = local[_UPPER] + np.tensordot(weights, rig.upper_points[:, _UPPER], 1)
        lower = local[_LOWER] + np.tensordot(weights, rig.lower_points[:, _LOWER], 1)
        jaw = float(lower[5, 1] - local[mesh.LIP_CENTRE_LOWER, 1])
        ends = (upper[[0, -1]] + lower[[0, -1]]) / 2
        upper[[0, -1]] = lower[[0, -1]] = ends
        crossed = lower[:, 1] < upper[:, 1]
        upper[crossed, 1] = lower[crossed, 1] = (upper[crossed, 1] + lower[crossed, 1]) / 2
        activity = float(np.clip(np.abs(weights).max() / 0.04, 0, 1))
        pucker = float(np.clip(weights[_ROUND], 0, 1))
        return _Lips(upper=upper, lower=lower, jaw=jaw, pucker=pucker, activity=activity)

    def _source(self, upper: Float32Array, lower: Float32Array, local: Float32Array, lips: _Lips) -> Float32Array:
        """Where each point comes from, px of the texture: (h, w, 2), overwritten by the next call."""
        source = self._scratch.floats("source", *upper.shape)
        np.subtract(lower, upper, out=source)
        source *= self._share_below(local, lips)[..., None]
        source += upper
        return source

    def _share_below(self, local: Float32Array, lips: _Lips) -> Float32Array:
        """How much of each point belongs to the lower sheet: 0 above the lip line, 1 below; (h, w)."""
        start, end = lips.upper[0, 0], lips.upper[-1, 0]
        across = np.maximum.accumulate(lips.upper[:, 0])
        line = np.interp(np.linspace(start, end, 128), across, (lips.upper[:, 1] + lips.lower[:, 1]) / 2)
        column, still, share = (self._scratch.floats(name, *local.shape[:2]) for name in ("column", "still", "share"))
        np.subtract(local[..., 0], np.float32(start), out=column)
        column *= np.float32(127 / max(end - start, 1e-3))
        still.fill(0)
        way = line.astype(np.float32)[None]
        cv2.remap(way, column, still, _LINEAR, dst=share, borderMode=_EDGE)
        np.subtract(local[..., 1], share, out=share)
        # Beside the mouth the sheets part ever more softly.
        outside = np.subtract(local[..., 0], np.float32((start + end) / 2), out=column)
        np.abs(outside, out=outside)
        outside -= np.float32((end - start) / 2)
        np.maximum(outside, 0, out=outside)
        outside *= np.float32(2 * 1.4)
        outside += np.float32(2 * max(1 / self._rig.shape.unit, 0.006))
        share /= outside
        share += np.float32(0.5)
        return np.clip(share, 0, 1, out=share)

    def _to_frame(self, local: FloatArray) -> FloatArray:
        """Points of the face as px of the frame, the head's turn included."""
        px = self._rig.shape.to_frame(local)
        index = self._rig.head_grid.index_of(px).astype(np.float32)[None]
        moved = cv2.remap(self._turn, index, None, _LINEAR, borderMode=_EDGE)
        return np.asarray(px + moved[0])

    def _box(self, local: FloatArray, margin: float) -> _Box | None:
        """The frame's rows and columns around points, and the sheets there; None outside the frame."""
        grid, rig = self._rig.face_grid, self._rig
        px = self._to_frame(local)
        reach = margin * rig.shape.unit
        low = np.floor(grid.index_of(px.min(0) - reach)).astype(int) - 1
        high = np.ceil(grid.index_of(px.max(0) + reach)).astype(int) + 2
        (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, [grid.columns, grid.rows])
        if right - left < 3 or bottom - top < 3:
            return None
        step = grid.step
        size = (int(right - left) * step, int(bottom - top) * step)
        # Half a cell at the edge is extrapolated by repetition: leave a cell out.
        rows = slice(grid.top + int(top) * step + step, min(rig.height, grid.top + int(bottom) * step - step))
        columns = slice(grid.left + int(left) * step + step, min(rig.width, grid.left + int(right) * step - step))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        part = np.s_[step : step + rows.stop - rows.start, step : step + columns.stop - columns.start]
        fields = []
        for name, nodes in (("upper", self._from_upper), ("lower", self._from_lower), ("local", self._local)):
            full = self._scratch.floats(name, size[1], size[0], 2)
            fields.append(cv2.resize(nodes[top:bottom, left:right], size, dst=full)[part])
        return _Box(rows, columns, *fields)

    def _draw_lips(self, lips: _Lips) -> _Box | None:
        """The lips and the skin about them, sharply parted; where the mouth lies, None where nothing of it moves."""
        rig = self._rig
        if lips.activity <= 0:
            return None
        outer = rig.shape.local[list(mesh.UPPER_OUTER + mesh.LOWER_OUTER)]
        box = self._box(np.concatenate([lips.upper, lips.lower, outer]), 0.10)
        if box is None:
            return None
        target = self._rgba[box.rows, box.columns]
        parted = float(np.clip((lips.opening - 0.010) / 0.03, 0, 1))
        if rig.mouth.line:
            # Lines do not fade: they are the drawing's own, or drawn anew around the opening.
            parted = float(lips.opening > _SLIT)
        open_mouthed = rig.shape.gap > _PARTED
        healing = max(parted, 1.0 if open_mouthed else 0.0) * lips.activity
        self._draw_healed(target, self._source(box.upper, box.lower, box.local, lips), healing)
        if open_mouthed and parted < 1:
            line = self._to_frame((lips.upper + lips.lower) / 2) - [box.columns.start, box.rows.start]
            self._draw_contact(target, line, (1 - parted) * healing)
        return box

    def _draw_healed(self, target: UInt8Array, source: Float32Array, healing: float) -> None:
        rig = self._rig
        if healing < 1:
            cv2.remap(rig.texture, source, None, _LINEAR, dst=target, borderMode=_EDGE)
        if healing <= 0:
            return
        source -= np.array(rig.healed_at, np.float32)
        if healing < 1:
            healed = self._scratch.bytes("healed", *target.shape)
            cv2.remap(rig.healed, source, None, _LINEAR, dst=healed, borderMode=_EDGE)
            cv2.addWeighted(healed, healing, target, 1 - healing, 0, dst=target)
        else:
            cv2.remap(rig.healed, source, None, _LINEAR, dst=target, borderMode=_EDGE)

    def _draw_contact(self, target: UInt8Array, line: FloatArray, strength: float) -> None:
        """The shadow where closed lips meet; of a drawing that is open, the line."""
        unit, mouth = self._rig.shape.unit, self._rig.mouth
        if mouth.line:
            colour = (*(float(value) * 0.5 for value in mouth.cavity), 255.0)
            thick = max(1, round(mouth.line * unit))
            cv2.polylines(target, [np.int32(line * 64)], False, colour, thick, cv2.LINE_AA, 6)
            return
        margin = int(0.03 * unit) + 4
        low = np.maximum(np.floor(line.min(0)).astype(int) - margin, 0)
        high = np.ceil(line.max(0)).astype(int) + margin
        target, line = target[low[1] : high[1], low[0] : high[0]], line - low
        mask = np.zeros(target.shape[:2], np.uint8)
        cv2.polylines(mask, [np.int32(line * 16)], False, 255, max(1, int(0.006 * unit)), cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.7, 0.006 * unit)).astype(np.float32)
        alpha = (soft * np.float32(0.75 * strength / 255))[..., None]
        target[..., :3] = target[..., :3] * (1 - alpha) + mouth.cavity * alpha

    def _draw_inside(self, box: _Box, lips: _Lips, tongue: float) -> None:
        if lips.opening <= _SLIT:
            return
        rig, unit = self._rig, self._rig.shape.unit
        target = self._rgba[box.rows, box.columns]
        outline = self._to_frame(_CURVE @ np.concatenate([lips.upper, lips.lower[-2:0:-1]]))
        outline -= [box.columns.start, box.rows.start]
        is_drawn = rig.mouth.line > 0
        fade = 1.0 if is_drawn else float(np.clip((lips.opening - _SLIT) / 0.02, 0, 1)) * lips.activity
        margin = int(0.03 * unit) + 4
        left, top = np.maximum(np.floor(outline.min(0)).astype(int) - margin, 0)
        right, bottom = np.minimum(np.ceil(outline.max(0)).astype(int) + margin, target.shape[1::-1])
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [np.int32((outline - [left, top]) * 64)], 255, cv2.LINE_AA, 6)
        alpha = cv2.GaussianBlur(mask, (0, 0), max(0.7, 0.0075 * unit)).astype(np.float32) * np.float32(fade / 255)
        depth = blurred(mask, max(1.5, 0.030 * unit))
        depth /= max(float(depth.max()), 1.0)
        scale = float(lips.upper[-1, 0] - lips.upper[0, 0]) / rig.shape.slit_width
        opening = Opening(jaw=lips.jaw, width_scale=scale, tongue=tongue, pucker=lips.pucker)
        inside = paint(rig.mouth, box.local[top:bottom, left:right], opening, self._scratch)
        if is_drawn:
            draw_outline(inside, alpha, outline - [left, top], rig.mouth.line * unit, rig.mouth.cavity * 0.5)
        else:
            # The lips shade what lies just behind them.
            darkest, slope, start = (0.50, 1.35, 0.30) if rig.mouth.own is None else (0.60, 1.3, 0.3)
            inside *= (darkest + (1 - darkest) * np.clip(depth * slope - start, 0, 1))[..., None]
        part = target[top:bottom, left:right, :3]
        inside -= part
        inside *= alpha[..., None]
        inside += part
        np.copyto(part, np.clip(inside, 0, 255, out=inside), casting="unsafe")

    def _paint_eye(self, eye: Eye, pose: Float32Array) -> None:
        closed = float(pose[CHANNEL["blink"]])
        if eye.drawn is not None and closed > 0.02:
            self._move_eye(eye, pose, 0.0)
            above, below = (self._to_frame(edge) for edge in outline(eye))
            draw_lid(self._rgba, eye.drawn, above, below, eye.drawn.thick * self._rig.shape.unit, closed)
        else:
            self._move_eye(eye, pose, closed)

    def _move_eye(self, eye: Eye, pose: Float32Array, closed: float) -> None:
        gaze_x, gaze_y = float(pose[CHANNEL["gaze_x"]]), float(pose[CHANNEL["gaze_y"]])
        if closed < 0.02 and abs(gaze_x) < 0.02 and abs(gaze_y) < 0.02:
            return
        corners = np.array([[x, y] for x in (eye.left, eye.right) for y in (eye.top, eye.bottom)])
        box = self._box(corners, 0.0)
        if box is None:
            return
        sight = look(eye, box.local, closed=closed, gaze=gaze_x, lower_gaze=gaze_y)
        room, (height, width) = self._scratch, box.local.shape[:2]
        source, drawn = room.floats("eye source", height, width, 2), room.floats("eye", height, width, 3)
        colours = room.bytes("eye colours", height, width, 4)
        np.matmul(sight.shift, (self._rig.shape.axes * self._rig.shape.unit * TEXTURE_SCALE).astype(np.float32), source)
        source += box.upper
        cv2.remap(self._rig.texture, source, None, _LINEAR, dst=colours, borderMode=_EDGE)
        np.copyto(drawn, colours[..., :3])
        if closed > 0:
            skin = room.floats("skin", height, width, 3)
            np.subtract(box.upper, np.array(self._rig.lids_at, np.float32), out=source)
            cv2.remap(self._rig.lids, source, None, _LINEAR, dst=colours, borderMode=_EDGE)
            np.subtract(colours[..., :3], drawn, out=skin)
            skin *= sight.skin[..., None]
            drawn += skin
        drawn *= sight.light[..., None]
        # Large eyes of a drawing reach into its mouth, and folds of the skin into the eye's surroundings.
        touched = (sight.shift != 0).any(-1) | (sight.skin > 0) | (sight.light < 0.995)
        np.copyto(self._rgba[box.rows, box.columns, :3], drawn, where=touched[..., None], casting="unsafe")


_CURVE = curve_weights(2 * len(mesh.UPPER_INNER) - 2)
"""Closed, so that the corners of the mouth are round."""
