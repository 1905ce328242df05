"""How many voices are there? Prints of windows in, one typical print per voice out. Pure; knows no sound.

The count never comes from a cut at a distance alone: windows are grouped too finely on purpose, groups that are the
same voice are merged, and what is left is taken for a voice only if the voices before it do not explain it. All
comparisons are ratios: the similarity between two groups, over the similarity of each group with itself at other
times. Noise, a telephone or a reverberant room lower both alike, so one threshold serves all of them (plain cosines
need another one per recording).

Observed with GE2E on windows of 1.6 s: the same voice 0.90 and more (little speech: 0.80 and more), different voices
0.44 to 0.88.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster import hierarchy

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BLOCK_WINDOWS = 600
"""Windows grouped at once, four minutes of speech: the pairwise distances of hours would not fit into memory."""
USUAL_SIMILARITY = 0.75
"""Mean cosine of two windows of one voice, where a recording is too short to tell its own."""
PRIOR_PAIRS = 20.0
"""How many pairs of windows the recording's own value is worth when a small group has few of them."""
MOST_ALIKE = 1.02
"""How much more alike than usual a voice can be to itself."""
REASSIGNMENTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What makes two groups of windows one voice, as ratios of similarity (1: one voice)."""

    fine: float = 0.95
    """Windows group while their mean similarity is at least this share of a voice's similarity with itself."""
    merge: float = 0.92
    """Groups at least this alike are merged, whatever their size."""
    same_voice: float = 0.885
    """A group that the voices before it explain so far is one of them: for `long_seconds` of speech and more."""
    same_voice_short: float = 0.74
    """The same for `short_seconds` of speech: a few windows of laughter or overlap look like somebody new."""
    long_seconds: float = 12.0
    short_seconds: float = 2.0
    min_seconds: float = 1.8
    """Less speech than this is never a voice of its own, unless there is no other."""
    usual_total_seconds: float = 300.0
    """Speech in a recording up to which these lengths hold as they are."""
    max_voices: int = 20


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of speech with their prints, in order of time."""

    starts: IntArray
    """Samples at 16 kHz."""
    ends: IntArray
    prints: Float32Array
    """(n, 256), each of length 1."""
    spans: IntArray
    """The index of the span of speech that each lies in."""


@dataclass(slots=True)
class _Group:
    """Windows taken for one voice, with the sums that its similarities follow from."""

    members: IntArray
    total: Float64Array
    """Sum of the prints."""
    near: float
    """Sum of the products of pairs that share sound, each with itself included: they say nothing of the voice."""
    num_near: int

    def joined(self, other: "_Group") -> "_Group":
        members = np.concatenate([self.members, other.members])
        return _Group(members, self.total + other.total, self.near + other.near, self.num_near + other.num_near)

    def own_similarity(self, usual: float) -> float:
        """Mean cosine of two of its windows that share no sound; a repeated sound counts as no more than a voice."""
        pairs = self.members.size**2 - self.num_near
        own = (float(self.total @ self.total) - self.near + PRIOR_PAIRS * usual) / (pairs + PRIOR_PAIRS)
        return min(own, MOST_ALIKE * usual)


def voices(windows: Windows, options: ClusterOptions, num_voices: int | None = None) -> Float32Array:
    """A typical print per voice, (k, 256), each of length 1; (0, 256) without windows.

    num_voices: a hint. Fewer than found: the most alike are merged; more: the least explained groups become voices.
    """
    if not windows.starts.size:
        return np.zeros((0, windows.prints.shape[1]), np.float32)
    usual = _usual_similarity(windows)
    groups = _merged(_fine_groups(windows, usual, options), usual, options.merge)
    groups.sort(key=lambda group: (-_seconds(group, windows), int(group.members.min())))
    found = _accepted(groups, windows, usual, options, num_voices)
    prints = _unit(np.stack([group.total for group in found]).astype(np.float32))
    return _reassigned(windows.prints, prints)


def nearest(prints: Float32Array, voices_: Float32Array) -> IntArray:
    """The index of the voice that each print is most like."""
    return np.asarray((prints @ voices_.T).argmax(axis=1), np.int64)


def _unit(prints: Float32Array) -> Float32Array:
    return np.asarray(prints / np.maximum(np.linalg.norm(prints, axis=-1, keepdims=True), 1e-9), np.float32)


def _usual_similarity(windows: Windows) -> float:
    """How alike two windows of one voice are in this recording: of neighbours that share no sound within a span.

    The 60th percentile, since some of these pairs straddle a change of speaker.
    """
    length = int((windows.ends - windows.starts).max())
    values: list[Float64Array] = []
    for step in range(1, 8):
        if step >= windows.starts.size:
            break
        gap = windows.starts[step:] - windows.starts[:-step]
        whole = (windows.ends - windows.starts == length)[step:] & (windows.ends - windows.starts == length)[:-step]
        near = (windows.spans[step:] == windows.spans[:-step]) & (gap >= length) & (gap <= 1.5 * length) & whole
        products = np.einsum("ij,ij->i", windows.prints[step:][near], windows.prints[:-step][near])
        values.append(products.astype(np.float64))
    pairs = np.concatenate([*values, np.zeros(0)])
    return float(np.percentile(pairs, 60)) if pairs.size >= 8 else USUAL_SIMILARITY


def _fine_groups(windows: Windows, usual: float, options: ClusterOptions) -> list[_Group]:
    """Average linkage of cosines within each block."""
    groups = []
    for first in range(0, windows.starts.size, BLOCK_WINDOWS):
        prints = windows.prints[first : first + BLOCK_WINDOWS].astype(np.float64)
        labels = np.ones(1, np.int64)
        if len(prints) > 1:
            tree = hierarchy.linkage(prints, "average", metric="cosine")
            labels = hierarchy.fcluster(tree, max(0.0, 1 - options.fine * usual), "distance")
        groups += [_group(np.flatnonzero(labels == label) + first, windows) for label in np.unique(labels)]
    return groups


def _group(members: IntArray, windows: Windows) -> _Group:
    prints = windows.prints[members].astype(np.float64)
    starts, ends = windows.starts[members], windows.ends[members]
    shared = (starts[:, None] < ends[None, :]) & (starts[None, :] < ends[:, None])
    return _Group(members, prints.sum(axis=0), float(((prints @ prints.T) * shared).sum()), int(shared.sum()))


def _merged(groups: list[_Group], usual: float, least: float) -> list[_Group]:
    """Merge the two most alike groups until none are at least `least` alike."""
    alive = list(groups)
    means = np.stack([group.total / group.members.size for group in alive])
    own = np.array([group.own_similarity(usual) for group in alive])
    alike = _ratios(means, own, means, own)
    np.fill_diagonal(alike, -1.0)
    dead: set[int] = set()
    while True:
        first, second = sorted(int(i) for i in np.unravel_index(int(alike.argmax()), alike.shape))
        if alike[first, second] < least:
            return [group for i, group in enumerate(alive) if i not in dead]
        joined = alive[first] = alive[first].joined(alive[second])
        means[first], own[first] = joined.total / joined.members.size, joined.own_similarity(usual)
        dead.add(second)
        row = _ratios(means[first : first + 1], own[first : first + 1], means, own)[0]
        row[[first, *dead]] = -1.0
        alike[first], alike[:, first] = row, row
        alike[second], alike[:, second] = -1.0, -1.0


def _ratios(left: Float64Array, own_left: Float64Array, right: Float64Array, own_right: Float64Array) -> Float64Array:
    scale = np.sqrt(np.maximum(own_left, 1e-6)[:, None] * np.maximum(own_right, 1e-6)[None, :])
    return np.asarray((left @ right.T) / scale)


def _seconds(group: _Group, windows: Windows) -> float:
    """Speech covered by the group's windows."""
    return _covered_seconds(group.members, windows)


def _covered_seconds(members: IntArray, windows: Windows) -> float:
    members = np.sort(members)
    starts, ends = windows.starts[members], windows.ends[members]
    return float(np.minimum(ends - starts, np.append(starts[1:], ends[-1]) - starts).sum()) / 16_000


def _accepted(
    groups: list[_Group], windows: Windows, usual: float, options: ClusterOptions, num_voices: int | None
) -> list[_Group]:
    """Of groups in order of size, those that are voices of their own."""
    found: list[_Group] = []
    hours = _Length(windows, options)
    for group in groups:
        seconds = _seconds(group, windows)
        new = seconds >= hours.least and _explained(group, found, usual) < hours.threshold(seconds)
        if not found or (new and len(found) < options.max_voices):
            found.append(group)
    if num_voices is None:
        return found
    while len(found) > max(1, num_voices):
        found = _with_closest_merged(found, usual)
    rest = [group for group in groups if not any(group is other for other in found)]
    while len(found) < num_voices and rest:
        strangest = min(rest, key=lambda g: _explained(g, found, usual) - hours.threshold(_seconds(g, windows)))
        rest = [group for group in rest if group is not strangest]
        found.append(strangest)
    return found


class _Length:
    """What counts as little speech and as much: in a long recording, odd windows add up as well.

    Laughter, overlap and noise grow with the whole, so a group counts by its share once there are more than
    `usual_total_seconds` of speech. The least that may be a voice grows more slowly, so that a caller in an hour's
    talk is one.
    """

    def __init__(self, windows: Windows, options: ClusterOptions) -> None:
        everything = np.arange(windows.starts.size)
        total = _covered_seconds(everything, windows)
        self._share = min(1.0, options.usual_total_seconds / max(total, 1.0))
        self._options = options
        self.least = options.min_seconds / float(np.sqrt(self._share))

    def threshold(self, seconds: float) -> float:
        """Linear in the logarithm of the speech that a group has."""
        options = self._options
        ends = np.log([options.short_seconds, options.long_seconds])
        values = [options.same_voice_short, options.same_voice]
        return float(np.interp(np.log(max(seconds * self._share, 0.01)), ends, values))


def _with_closest_merged(found: list[_Group], usual: float) -> list[_Group]:
    pairs = [(i, j) for j in range(len(found)) for i in range(j)]
    first, second = max(pairs, key=lambda pair: _alike(found[pair[0]], found[pair[1]], usual))
    joined = found[first].joined(found[second])
    return [joined if i == first else group for i, group in enumerate(found) if i != second]


def _alike(left: _Group, right: _Group, usual: float) -> float:
    between = float(left.total @ right.total) / (left.members.size * right.members.size)
    return between / float(np.sqrt(max(left.own_similarity(usual) * right.own_similarity(usual), 1e-6)))


def _explained(group: _Group, found: list[_Group], usual: float) -> float:
    """How far one voice, or two of them at once, account for a group: 1 is wholly.

    Windows at a change of speaker and in overlapping speech lie between two voices: they are no third one. With
    ratios a and b to two voices that are g alike, the best mixture reaches sqrt((a^2 + b^2 - 2abg) / (1 - g^2)), if
    both its weights are positive (least squares in the plane of both).
    """
    ratios = [_alike(group, voice, usual) for voice in found]
    best = max(ratios, default=0.0)
    for j in range(len(found)):
        for i in range(j):
            a, b, g = ratios[i], ratios[j], min(_alike(found[i], found[j], usual), 0.95)
            if a > g * b and b > g * a:
                best = max(best, float(np.sqrt((a * a + b * b - 2 * a * b * g) / (1 - g * g))))
    return best


def _reassigned(prints: Float32Array, typical: Float32Array) -> Float32Array:
    """Each window goes to its nearest voice and each voice to the mean of its windows, a few times over."""
    for _ in range(REASSIGNMENTS):
        labels = nearest(prints, typical)
        sums = [prints[labels == voice].sum(axis=0) for voice in range(len(typical))]
        typical = _unit(np.stack([total if total.any() else typical[i] for i, total in enumerate(sums)]))
    return typical
