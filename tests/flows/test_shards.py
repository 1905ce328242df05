"""How shots are dealt out to workers."""

from dataclasses import replace
from itertools import pairwise

from flows.shards import Shard, deal, without
from tasks.domain.editing import Shot
from tests.publishing import a_shot


def shots(*costs: float) -> list[Shot]:
    """A shot for each cost."""
    base = a_shot(1, 0, 50)
    return [replace(base, fingerprint=f"{place:064x}", cost_seconds=cost) for place, cost in enumerate(costs)]


def makespan(shards: tuple[Shard, ...], workers: int) -> float:
    """Seconds until the last worker is done, where a free worker takes the next shard."""
    busy = [0.0] * workers
    for shard in shards:
        busy[busy.index(min(busy))] += shard.cost_seconds
    return max(busy)


def test_every_shot_is_in_one_shard() -> None:
    """No shot is lost, none is dealt twice."""
    dealt = deal(shots(*range(1, 60)), workers=4, longest_seconds=100)
    assert sorted(shot.cost_seconds for shard in dealt for shot in shard.shots) == list(range(1, 60))


def test_long_shots_go_first_and_shards_shrink() -> None:
    """The longest shots lead, and the last shards are small, so that workers end together."""
    dealt = deal(shots(*(5 + place % 15 for place in range(200))), workers=4, longest_seconds=300)
    costs = [shot.cost_seconds for shard in dealt for shot in shard.shots]
    assert costs == sorted(costs, reverse=True)
    assert dealt[0].cost_seconds > 4 * dealt[-2].cost_seconds
    assert makespan(dealt, 4) <= 1.03 * sum(costs) / 4


def test_no_shard_is_longer_than_it_may_be() -> None:
    """A shard ends with the shot that fills it; a single shot may be longer than any shard."""
    dealt = deal(shots(*([10] * 100), 500), workers=1, longest_seconds=60)
    assert dealt[0].cost_seconds == 500
    assert all(shard.cost_seconds <= 60 for shard in dealt[1:])


def test_shards_are_the_same_in_whatever_order_shots_come() -> None:
    """Two producing runs of one plan deal alike."""
    given = shots(*([7, 3, 9, 3, 5] * 10))
    one, other = deal(given, workers=2, longest_seconds=40), deal(given[::-1], workers=2, longest_seconds=40)
    assert [shard.digest for shard in one] == [shard.digest for shard in other]
    assert all(first.digest != second.digest for first, second in pairwise(one))


def test_shots_of_known_shards_are_not_dealt_again() -> None:
    """What an earlier run dealt stays as it was."""
    given = shots(*([7] * 10))
    known = deal(given[:6], workers=1, longest_seconds=20)
    assert without(known, given) == tuple(given[6:])


def test_nothing_is_dealt_of_nothing() -> None:
    """A plan whose clips are all there makes no shard."""
    assert deal([], workers=3, longest_seconds=60) == ()
