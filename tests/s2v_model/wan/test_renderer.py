"""The renderer: exact frames, resuming, options, sound, errors; on a tiny checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

from s2v_model import load  # noqa: E402
from s2v_model.contract import (  # noqa: E402
    DeviceOutOfMemory,
    PortraitRefused,
    RendererMissing,
    RenderError,
    Stopped,
    Take,
)
from s2v_model.wan import placement  # noqa: E402
from s2v_model.wan.config import ModelConfig  # noqa: E402
from s2v_model.wan.speech import gate_vocals  # noqa: E402
from tests.wan_checkpoint import write_official  # noqa: E402

pytestmark = pytest.mark.wan
SAMPLES_PER_FRAME = 1000


class Kept:
    """Chunks in memory; can be told to fail behind one."""

    def __init__(self, kill_behind: int | None = None) -> None:
        self.saved: list[dict[str, np.ndarray]] = []
        self.kill_behind = kill_behind

    def load(self) -> list[dict[str, np.ndarray]]:
        """All so far."""
        return list(self.saved)

    def save(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep one; then the process may die."""
        assert index == len(self.saved)
        self.saved.append({name: array.copy() for name, array in arrays.items()})
        if index == self.kill_behind:
            raise KeyboardInterrupt


def unwatched(done: float, total: float) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A tiny checkpoint on the CPU, short chunks, two steps."""
    folder = tmp_path_factory.mktemp("wan")
    weights = write_official(folder / "checkpoint")
    return {
        "checkpoint": str(weights), "cache": str(folder / "cache"), "device": "cpu", "precision": "float32",
        "steps": 2, "infer_frames": 12, "preroll_frames": 4,
    }  # fmt: skip


def take(num_frames: int = 20, **changes) -> Take:
    """A picture of noise, a voice of noise."""
    numbers = np.random.default_rng(3)
    settings = {
        "portrait": numbers.integers(0, 255, (64, 64, 3), np.uint8),
        "face_box": (4.0, 4.0, 50.0, 50.0),
        "speech": numbers.normal(0, 0.1, num_frames * SAMPLES_PER_FRAME).astype(np.float32),
        "rate": Fraction(16), "num_frames": num_frames, "width": 64, "height": 64, "seed": 2**63 - 1,
        "prompt": "a person talks",
    }  # fmt: skip
    return Take(**{**settings, **changes})


def frames(options: dict, order: Take, kept: Kept | None = None, watch=unwatched) -> np.ndarray:
    """Rendered, as one array."""
    renderer = load("wan-s2v", options)
    made = [frame.copy() for frame in renderer.frames(order, watch=watch, chunks=kept or Kept())]
    return np.stack(made)


@pytest.mark.parametrize(
    ("num_frames", "first_frame"),
    [(1, "free"), (8, "free"), (9, "free"), (21, "free"), (12, "portrait"), (13, "portrait")],
)
def test_exactly_the_frames_asked_for(num_frames, first_frame, options):
    """Any number of frames comes out, uint8, at the size asked for, whichever way the clip begins."""
    made = frames({**options, "first_frame": first_frame}, take(num_frames))
    assert made.shape == (num_frames, 64, 64, 3)
    assert made.dtype == np.uint8


def test_equal_takes_give_equal_frames_and_a_seed_matters(options):
    """The same take gives the same bytes; another seed gives others."""
    first = frames(options, take())
    assert np.array_equal(first, frames(options, take()))
    assert not np.array_equal(first, frames(options, take(seed=5)))


@pytest.mark.parametrize(
    ("infer_frames", "first_frame", "num_chunks"),
    [(12, "free", 5), (12, "portrait", 3), (48, "free", 3), (80, "free", 2)],
)
def test_a_killed_render_goes_on_bit_for_bit(infer_frames, first_frame, num_chunks, options):
    """Killed behind chunk 3 of 5, among others, and resumed by a new renderer, a clip is equal bit for bit."""
    chosen = {**options, "infer_frames": infer_frames, "first_frame": first_frame, "steps": 1, "guidance": 1.0}
    order = take(num_chunks * infer_frames - 6)
    whole = frames(chosen, order)
    num_kept = (num_chunks + 1) // 2
    kept = Kept(kill_behind=num_kept - 1)
    with pytest.raises(KeyboardInterrupt):
        frames(chosen, order, kept)
    assert len(kept.saved) == num_kept
    kept.kill_behind = None
    asked: list[float] = []
    resumed = frames(chosen, order, kept, watch=lambda done, total: asked.append(done / total))
    assert np.array_equal(whole, resumed)
    assert asked[0] == pytest.approx(num_kept / num_chunks), "the chunks that were kept are not made again"
    assert len(kept.saved) == num_chunks


def test_a_finished_clip_is_not_made_again(options):
    """With every chunk kept, no model is loaded at all."""
    kept = Kept()
    whole = frames(options, take(), kept)
    renderer = load("wan-s2v", options)
    assert np.array_equal(whole, np.stack(list(renderer.frames(take(), watch=unwatched, chunks=kept))))
    assert "transformer" not in vars(renderer.models)


def test_chunks_of_another_take_are_made_anew(options, caplog):
    """Saved arrays of another size are not trusted; the clip comes out as without them."""
    kept = Kept()
    kept.saved = [{"frames": np.zeros((9, 32, 32, 3), np.uint8), "motion": np.zeros((1, 16, 19, 4, 4), np.float32)}]
    renderer = load("wan-s2v", options)
    usable = renderer._usable(kept.saved, take(), 2)
    assert usable == []
    assert "made anew" in caplog.text


def test_progress_is_told_for_every_step_and_a_stop_is_heard(options):
    """`watch` hears of every step, never less than before, and what it raises ends the render."""
    heard: list[tuple[float, float]] = []
    frames(options, take(20), watch=lambda done, total: heard.append((done, total)))
    done = [value for value, _ in heard]
    assert done == sorted(done)
    assert {1.0, 2.0, 5.0, 6.0} <= set(done)
    assert len({total for _, total in heard}) == 1

    def stop(done: float, total: float) -> None:
        if done >= 2:
            raise Stopped

    with pytest.raises(Stopped):
        frames(options, take(20), watch=stop)


def test_a_stop_is_heard_within_a_step(options, monkeypatch):
    """Progress is told from within a step, from block to block, so that a stop does not wait for its end."""
    monkeypatch.setattr("s2v_model.wan.renderer.BEAT_SECONDS", 0.0)
    heard: list[float] = []
    frames(options, take(8), watch=lambda done, total: heard.append(done))
    assert heard.count(0.0) > 3, "several beats before the first step is done"


def test_traits_say_what_the_planner_must_know(options):
    """Rate, multiple, quantum, lead, digest and every option that alters pixels; without loading a model."""
    renderer = load("wan-s2v", options)
    traits = renderer.traits()
    assert (traits.name, traits.rate, traits.multiple_px) == ("wan-s2v", Fraction(16), 64)
    assert (traits.quantum_frames, traits.lead_frames, len(traits.weights)) == (12, 4, 64)
    assert traits.options["steps"] == 2
    assert "transformer" not in vars(renderer.models)
    published = load("wan-s2v", {"checkpoint": options["checkpoint"], "cache": options["cache"]}).traits()
    assert {key: published.options[key] for key in ("steps", "shift", "guidance", "solver", "infer_frames")} == {
        "steps": 40, "shift": 3.0, "guidance": 4.5, "solver": "unipc", "infer_frames": 80,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "no option 'stepz'. Did you mean 'steps'"),
        ({"steps": "40"}, "steps must be int"),
        ({"steps": True}, "steps must be int"),
        ({"size": "4k"}, "Known are: 480p"),
        ({"solver": "euler"}, "known are 'unipc'"),
        ({"infer_frames": 81}, "multiple of 4"),
        ({"preroll_frames": 2}, "at least 3"),
        ({"precision": "fp16"}, "no precision 'fp16'"),
        ({"attention": "magic"}, "no attention backend 'magic'"),
        ({"attention": "sage"}, "'sageattention', which is not installed"),
        ({"quantize": "int3"}, "no weight format"),
        ({"step_cache": "0.9"}, "share from 0 to 0.75"),
        ({"lora": "missing.safetensors"}, "no file missing.safetensors"),
        ({"checkpoint": ""}, "has no checkpoint"),
        ({"checkpoint": "/nowhere"}, "no weights at '/nowhere'"),
        ({"checkpoint": "Wan-AI/Wan2.2-S2V-14B"}, "needs a revision"),
        ({"guidance": 0.5}, "at least 1"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(change, message, options):
    """Every wrong option is refused when the renderer is built, in a sentence that says what is allowed."""
    with pytest.raises(RendererMissing, match=message.replace(".", r"\.")):
        load("wan-s2v", {**options, **change})


def test_a_device_that_is_not_there_is_no_reason_to_use_another(options):
    """Without a card, device = cuda fails; nothing falls back to the CPU."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(RendererMissing, match="cannot use the device 'cuda'"):
        frames({**options, "device": "cuda"}, take())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rate": Fraction(25)}, RenderError, "16 frames per second, not 25"),
        ({"width": 80}, RenderError, "multiples of 64"),
        ({"width": 1280, "height": 704}, RenderError, "budget of size '480p'"),
        ({"face_box": (4.0, 4.0, 10.0, 10.0)}, PortraitRefused, "at least 16 px"),
        ({"face_box": (40.0, 4.0, 50.0, 50.0)}, PortraitRefused, "within the picture"),
        ({"speech": np.zeros(2000, np.float32)}, RenderError, "lasts 0.12 s"),
        ({"speech": np.full(20_000, np.nan, np.float32)}, RenderError, "not finite"),
    ],
)
def test_a_take_that_cannot_be_made_is_refused(change, error, message, options):
    """Wrong rate, size, face or sound: one sentence, before any model is loaded."""
    with pytest.raises(error, match=message):
        frames(options, take(**change))


def test_latents_that_are_not_finite_end_the_render(options, monkeypatch):
    """NaN in the latents is an error, not a grey clip."""
    from s2v_model.wan.transformer import WanS2V

    whole = WanS2V.forward
    monkeypatch.setattr(WanS2V, "forward", lambda self, *given: whole(self, *given) * float("nan"))
    with pytest.raises(RenderError, match="latents of chunk 1 are not finite"):
        frames(options, take())


def test_out_of_memory_names_size_estimate_and_options(options, monkeypatch):
    """A device that is too small says the size, the estimate, and what would fit."""
    from s2v_model.wan.transformer import WanS2V

    def full(self, *given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(WanS2V, "forward", full)
    with pytest.raises(DeviceOutOfMemory, match=r"64x64, where \d+ GB were estimated.*text_device=cpu"):
        frames(options, take())


def test_what_cannot_fit_is_refused_before_loading():
    """The 14B plan against 24 GB: refused, with the option that fits; against 80 GB it is not."""
    load_720p = placement.Load(width=1280, height=704)
    with pytest.raises(DeviceOutOfMemory, match=r"1280x704 needs about 66 GB.*offload=true"):
        placement.refuse_what_cannot_fit(ModelConfig(), load_720p, 24e9)
    placement.refuse_what_cannot_fit(ModelConfig(), load_720p, 80e9)


def test_the_plan_counts_the_published_parameters():
    """Working-precision and float32 parameters add up to the checkpoint's 16,295,755,609."""
    assert sum(placement.num_parameters(ModelConfig())) == 16_295_755_609
    assert "1024x704" in placement.plan_table()


def test_vocals_drive_the_mouth_in_place_of_the_mix(options):
    """With a vocal stem the frames are those of the stem, whatever the mix is."""
    order = take(8)
    stem = np.random.default_rng(9).normal(0, 0.2, order.speech.size).astype(np.float32)
    driven = frames(options, replace(order, vocals=stem))
    assert np.array_equal(driven, frames(options, replace(order, vocals=stem, speech=order.speech[::-1].copy())))
    assert not np.array_equal(driven, frames(options, order))


def test_an_instrumental_opening_is_silence():
    """Bleed 50 dB under the voice is silenced exactly; the voice, and what is next to it, is untouched."""
    rate = 16_000
    numbers = np.random.default_rng(1)
    voice = numbers.normal(0, 0.2, rate).astype(np.float32)
    bleed = numbers.normal(0, 0.2 * 10 ** (-50 / 20), 2 * rate).astype(np.float32)
    gated = gate_vocals(np.concatenate([bleed, voice]))
    assert not gated[: 2 * rate - rate // 10].any()
    assert np.array_equal(gated[2 * rate :], voice)


def test_a_pose_video_is_followed(options):
    """A pose video alters the frames; at twice the rate every second frame of it is taken."""
    poses = np.random.default_rng(4).integers(0, 255, (12, 64, 64, 3), np.uint8)
    posed = frames(options, take(8, pose_video=poses, pose_rate=Fraction(16)))
    assert not np.array_equal(posed, frames(options, take(8)))
    doubled = np.repeat(poses, 2, axis=0)
    assert np.array_equal(posed, frames(options, take(8, pose_video=doubled, pose_rate=Fraction(32))))


def test_the_prerolls_frames_are_dropped_from_the_front(options):
    """Frame k of a take is frame k + preroll of the chunks: a first chunk of 12 gives 8 frames."""
    kept = Kept()
    made = frames(options, take(20), kept)
    first, second = (arrays["frames"] for arrays in kept.saved)
    assert len(first) == 9
    assert np.array_equal(made, np.concatenate([first[1:], second])[:20])
