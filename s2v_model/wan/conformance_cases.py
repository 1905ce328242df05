"""What each kind of golden runs: a function that builds the product's classes for a file, and gives one for its cases.

In: a `Golden`. Out: for each case the tensors it computes, by the names of the goldens. Knows no tolerance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel, Wav2Vec2Config, Wav2Vec2Model

from s2v_model.wan import vae as latents_of
from s2v_model.wan.attention import sdpa
from s2v_model.wan.audio_encoder import CausalAudioEncoder
from s2v_model.wan.blocks import AudioInjector, Block, Head, Rows
from s2v_model.wan.chunks import ChunkLoop, Inputs
from s2v_model.wan.config import ModelConfig, Sampling
from s2v_model.wan.conformance_tables import TABLES
from s2v_model.wan.fitting import fit_image, fit_size, fit_video, pose_chunks, to_signed
from s2v_model.wan.motion import FramePack
from s2v_model.wan.names import audio_name, text_name, transformer_name, vae_name
from s2v_model.wan.rotary import motion_positions, positions, rotations
from s2v_model.wan.sampler import make_schedule, sample
from s2v_model.wan.speech import bucket_features, bucket_indices, num_clips, resample_features, wav2vec_features
from s2v_model.wan.text import encode_tokens
from s2v_model.wan.transformer import WanS2V

Case = Mapping[str, Any]
Tensors = dict[str, Tensor]
RunCase = Callable[[Case], Tensors]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One file of a goldens folder, opened."""

    name: str
    entry: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    table: Any
    """Contents of a .json file."""

    @cached_property
    def cases(self) -> list[Case]:
        """The file's cases; the tables are cases themselves."""
        return list(self.entry["cases"]) if self.table is None else TABLES[self.name](self.table)[0]

    def inputs(self, case: str) -> Tensors:
        """`in.` tensors of a case, and those that all cases share, without that prefix."""
        shared = {name[3:]: tensor for name, tensor in self.tensors.items() if name.startswith("in.")}
        return {**shared, **self._of(case, "in.")}

    def outputs(self, case: str) -> Tensors:
        """What the case must reproduce: all that is not input."""
        if self.table is not None:
            return TABLES[self.name](self.table)[1][case]
        prefix = f"{case}/"
        own = {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}
        return {name: tensor for name, tensor in own.items() if not name.startswith("in.")}

    def all_outputs(self) -> set[str]:
        """Full names of everything that is neither input nor parameter."""
        return {name for name in self.tensors if "/in." not in name and not name.startswith(("in.", "sd."))}

    def parameters(self, part: str = "") -> Tensors:
        """`sd.` tensors, without that prefix."""
        prefix = "sd." + part
        return {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}

    def _of(self, case: str, prefix: str) -> Tensors:
        start = f"{case}/{prefix}"
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}


def fill(module: nn.Module, parameters: Mapping[str, Tensor], rename: Callable[[str], str | None]) -> Any:
    """`module` with all its parameters replaced; strict both ways."""
    renamed = {rename(name): tensor for name, tensor in parameters.items()}
    renamed.pop(None, None)
    module.load_state_dict(renamed, strict=True)
    return module.eval().requires_grad_(False)


def _image_preprocess(golden: Golden) -> RunCase:
    def run(case: Case) -> Tensors:
        given, size = golden.inputs(case["name"]), case["size"]
        computed = {}
        if "image" in given:
            image = given["image"].numpy()
            assert list(fit_size(*image.shape[:2], case["max_area"])) == list(size), "size rule"
            computed["out.image_uint8"] = torch.from_numpy(fit_image(image, *size).copy())
        if "video" in given:
            computed["out.video"] = fit_video(given["video"].numpy(), *size)
        return computed

    return run


def _audio_features(golden: Golden) -> RunCase:
    encoder = Wav2Vec2Model(Wav2Vec2Config(**golden.entry["wav2vec2_config"]))
    fill(encoder, golden.parameters(), audio_name)

    def run(case: Case) -> Tensors:
        speech = golden.inputs(case["name"])["pcm16"].numpy().astype(np.float32) / 32768
        layers = wav2vec_features(speech, encoder)
        features = resample_features(layers)
        computed = {"out.hidden_states": layers, "out.features_30fps": features}
        for bucket in case["buckets"]:
            frames = bucket["infer_frames"]
            assert num_clips(features.shape[1], frames) == bucket["num_clips"], "number of clips"
            computed[f"out.bucket_{frames}"] = bucket_features(features, frames * bucket["num_clips"])
        return computed

    return run


def _causal_audio_encoder(golden: Golden) -> RunCase:
    def run(case: Case) -> Tensors:
        encoder = CausalAudioEncoder(case["audio_dim"], case["out_dim"], case["num_token"])
        parameters = golden.parameters(f"{case['model']}.")
        if not case["need_global"]:
            # Without a global path the checkpoint has no parameters for one; nothing of it is compared then.
            own = encoder.state_dict()
            parameters.update({name: own[name] for name in own.keys() - parameters.keys()})
        fill(encoder, parameters, str)
        whole, local = encoder(golden.inputs(case["name"])["features"])
        return {"out.global": whole, "out.local": local}

    return run


def _rope_positions(golden: Golden) -> RunCase:
    def run(case: Case) -> Tensors:
        computed = positions(
            case["latent_frames"], case["latent_h"], case["latent_w"], motion=not case["drop_motion_frames"],
            drop_mode=case.get("drop_mode", "padd"), add_last_motion=case.get("add_last_motion", 2),
        )  # fmt: skip
        assert computed.shape[0] == case.get("tokens", computed.shape[0]), "number of tokens"
        return {"out.positions": computed}

    return run


def _framepack(golden: Golden) -> RunCase:
    config, parameters = golden.entry["config"], golden.parameters()
    dim = config["inner_dim"]

    def run(case: Case) -> Tensors:
        mode, last = case["drop_mode"], case["add_last_motion"]
        packer = fill(FramePack(parameters["proj.weight"].shape[1], dim, mode), parameters, str)
        latents = golden.inputs(case["name"])["motion_latents"]
        position = motion_positions(*latents.shape[-2:], drop_mode=mode, add_last_motion=last)
        table = rotations(position, dim // config["num_heads"])
        tokens = packer(latents[None], last)
        return {"out.tokens": tokens, "out.rope_cos": table.real, "out.rope_sin": table.imag}

    return run


def _block_and_head(golden: Golden) -> RunCase:
    published = golden.entry["config"]
    config = ModelConfig(
        dim=published["dim"], ffn_dim=published["ffn_dim"], num_heads=published["num_heads"], audio_inject_layers=(),
        in_dim=published["out_dim"], eps=published["eps"],
    )  # fmt: skip
    block = fill(Block(config), golden.parameters("block."), lambda name: transformer_name("blocks.0." + name)[9:])
    head = fill(Head(config), golden.parameters("head."), lambda name: transformer_name("head." + name)[5:])

    def one(given: Tensors, num_video: int) -> tuple[Tensor, Tensor]:
        table, modulation = block.scale_shift_table, given["e0"]
        rows = Rows(table + modulation[:, :, 0], table + modulation[:, :, 1], num_video)
        rotary = torch.complex(given["rope_cos"], given["rope_sin"])[0]
        x = block(given["x"].clone(), rows, rotary, block.attn2.key_value(given["context"]), attend=sdpa)
        return x, head(x, given["e"])

    def run(case: Case) -> Tensors:
        given = golden.inputs(case["name"])
        # One at a time: these cases give every sample rotations of its own, in a sequence they are shared.
        samples = [{name: x[index : index + 1] for name, x in given.items()} for index in range(given["x"].shape[0])]
        outputs = [one(sample, case["seg_idx"]) for sample in samples]
        return {"out.y": torch.cat([y for y, _ in outputs]), "out.head": torch.cat([head for _, head in outputs])}

    return run


def _audio_injector(golden: Golden) -> RunCase:
    published = golden.entry["config"]
    layers = tuple(published["audio_inject_layers"])
    config = ModelConfig(
        dim=published["dim"], num_heads=published["num_heads"], audio_inject_layers=layers, num_layers=max(layers) + 1
    )
    prefix = "audio_injector."
    parameters = golden.parameters(prefix)
    injector = fill(AudioInjector(config), parameters, lambda name: transformer_name(prefix + name)[len(prefix) :])

    def run(case: Case) -> Tensors:
        given, index = golden.inputs(case["name"]), layers.index(case["block_id"])
        drive = injector.prepare(given["audio_global"], given["audio_local"])[index]
        x = given["hidden"].clone()
        injector(x, index, drive, case["video_tokens"])
        return {"out.hidden": x}

    return run


def _transformer(golden: Golden) -> RunCase:
    model = fill(WanS2V(ModelConfig.from_published(golden.entry["config"])), golden.parameters(), transformer_name)

    def run(case: Case) -> Tensors:
        given, call = golden.inputs(case["name"]), case["call"]
        latents = torch.stack([given[f"x.{index}"] for index in range(case["batch"])])
        traced: Tensors = {}

        def trace(name: str, tensor: Tensor) -> None:
            traced[f"trace.{name}"] = tensor

        conditioning = model.prepare(
            latent_frames=latents.shape[2], reference=given["ref_latents"], condition=given["cond_states"],
            motion=None if call["drop_motion_frames"] else given["motion_latents"], audio=given["audio_input"],
            text=model.encode_text([given[f"context.{index}"] for index in range(case["batch"])], trace),
            motion_window=tuple(call["motion_frames"]), add_last_motion=call.get("add_last_motion", 2), trace=trace,
        )  # fmt: skip
        time = model.embed_time(given["t"])
        if any(name.startswith("trace.") for name in golden.outputs(case["name"])):
            model(latents, time, conditioning, trace)
            static = conditioning.static_rows.expand_as(time.rows)
            traced["trace.e0"] = torch.stack([time.rows, static], dim=2)
            traced["trace.rope_cos"] = conditioning.rotary.real[None]
            traced["trace.rope_sin"] = conditioning.rotary.imag[None]
        return {**traced, "out": model(latents, time, conditioning)}

    return run


def _schedulers(golden: Golden) -> RunCase:
    def run(case: Case) -> Tensors:
        schedule = make_schedule(case["steps"], case["shift"], case["solver"])
        start = golden.outputs(case["name"])["out.trajectory"][0]
        trajectory = [start]

        def velocity(x: Tensor, step: int) -> Tensor:
            timestep = schedule.timesteps[step]
            return 0.7 * torch.tanh(1.3 * x) + 0.3 * torch.sin(5 * x + step) + 0.2 * timestep.float() / 1000

        sample(velocity, start, schedule, lambda step, x: trajectory.append(x))
        return {
            "out.timesteps": schedule.timesteps,
            "out.sigmas": schedule.sigmas,
            "out.trajectory": torch.stack(trajectory),
        }

    return run


def _filled_vae(config: Mapping[str, Any], parameters: Tensors) -> Any:
    vae = latents_of.build_vae(config)
    return fill(vae, parameters, lambda name: vae_name(name, config["num_res_blocks"]))


def _vae(golden: Golden) -> RunCase:
    vae = _filled_vae(golden.entry["config"], golden.parameters())

    def run(case: Case) -> Tensors:
        small = golden.inputs(case["name"])["pixels_lowres"]
        pixels = small.repeat_interleave(4, dim=-2).repeat_interleave(4, dim=-1)[None]
        wanted = golden.outputs(case["name"])
        decoded = latents_of.decode(vae, wanted["out.latents"][None])[0]
        return {"out.latents": latents_of.encode(vae, pixels)[0], "out.decoded_sub": decoded[..., ::3, ::3]}

    return run


def _t5(golden: Golden) -> RunCase:
    published = golden.entry["config"]
    config = UMT5Config(
        vocab_size=published["vocab"], d_model=published["dim"], d_kv=published["dim_attn"] // published["num_heads"],
        d_ff=published["dim_ffn"], num_layers=published["num_layers"], num_heads=published["num_heads"],
        relative_attention_num_buckets=published["num_buckets"], feed_forward_proj="gated-gelu",
    )  # fmt: skip
    encoder = UMT5EncoderModel(config)
    parameters = {text_name(name): tensor for name, tensor in golden.parameters().items()}
    tied = {name: parameters["shared.weight"] for name in encoder.state_dict() if name.endswith("embed_tokens.weight")}
    fill(encoder, {**parameters, **tied}, str)

    def run(case: Case) -> Tensors:
        ids = golden.inputs(case["name"])["ids"].long()
        mask = (torch.arange(ids.shape[1]) < case["valid"]).long()[None]
        return {"out.context": encode_tokens(ids, mask, encoder)}

    return run


def _pipeline(golden: Golden) -> RunCase:
    entry = golden.entry
    config = ModelConfig.from_published(entry["transformer_config"])
    model = fill(WanS2V(config), golden.parameters("transformer."), transformer_name)
    vae = _filled_vae(entry["vae_config"], golden.parameters("vae."))

    def run(case: Case) -> Tensors:
        given, computed = golden.inputs(case["name"]), {}
        sampling, inputs = _pipeline_inputs(case, given)
        loop = ChunkLoop(
            model, vae, inputs, sampling, note=lambda name, tensor: computed.update({f"out.{name}": tensor})
        )
        state, video = loop.first_state(), []
        while state is not None:
            past = latents_of.encode(vae, state.window) if state.motion is None else state.motion
            computed[f"out.clip{state.next_chunk}.motion_latents"] = past
            chunk = next(loop.run(state))
            video.append(chunk.frames)
            state = chunk.state
        stride = case["video_sub_stride"]
        frames = torch.cat(video, dim=1)
        assert list(frames.shape) == list(case.get("video_shape", frames.shape)), "shape of the video"
        return {**_unbatched(computed), "out.video_sub": frames[..., ::stride, ::stride]}

    return run


def _pipeline_inputs(case: Case, given: Tensors) -> tuple[Sampling, Inputs]:
    call, image, features = case["call"], given["image"].numpy(), given["features_30fps"]
    height, width = fit_size(*image.shape[:2], case["max_area"])
    assert [height, width] == list(case.get("size", [height, width])), "size rule"
    sampling = Sampling(
        steps=call["sampling_steps"], shift=call["shift"], guidance=call["guide_scale"], solver=call["sample_solver"],
        infer_frames=call["infer_frames"], motion_frames=case["motion_frames"],
        start_from_reference=call["init_first_frame"],
    )  # fmt: skip
    wanted = num_clips(features.shape[1], sampling.infer_frames)
    chunks = min(wanted, call["num_repeat"] or wanted)
    poses = None
    if "pose_frames" in given:
        frames = given["pose_frames"].numpy()
        poses = tuple(pose_chunks(frames, height, width, num_chunks=chunks, infer_frames=sampling.infer_frames))
    return sampling, Inputs(
        reference=to_signed(fit_image(image, height, width)),
        features=bucket_features(features, chunks * sampling.infer_frames),
        text=given["context"],
        negative=given["context_null"],
        seed=call["seed"],
        pose=poses,
    )


def _unbatched(computed: Tensors) -> Tensors:
    """The goldens store noise, velocities and latents without the axis of the batch."""
    batched = ("motion_latents", "ref_latents", "cond_latents", "audio_input", "timesteps", "latents_steps")
    return {name: tensor if name.endswith(batched) else tensor[0] for name, tensor in computed.items()}


def _run_sizes(golden: Golden) -> RunCase:
    return lambda case: {"size": torch.tensor([fit_size(*row[:3]) for row in case["rows"]])}


def _run_audio_index(golden: Golden) -> RunCase:
    def run(case: Case) -> Tensors:
        if "infer_frames" in case:
            clips = num_clips(case["F30"], case["infer_frames"])
            indices = bucket_indices(case["F30"], clips * case["infer_frames"])
            return {"num_clips": torch.tensor([clips]), "index": torch.tensor(indices)}
        ramp = torch.arange(case["T50"], dtype=torch.float32)[None, :, None]
        values = resample_features(ramp)[0, :, 0]
        return {
            "F30": torch.tensor([len(values)]),
            "first": values[: len(case["first"])],
            "last": values[-len(case["last"]) :],
        }

    return run


KINDS: dict[str, Callable[[Golden], RunCase]] = {
    "sizes.json": _run_sizes,
    "audio_index.json": _run_audio_index,
    "image_preprocess": _image_preprocess,
    "audio_features": _audio_features,
    "causal_audio_encoder": _causal_audio_encoder,
    "rope_positions": _rope_positions,
    "framepack_motioner": _framepack,
    "block_and_head": _block_and_head,
    "audio_injector": _audio_injector,
    "transformer": _transformer,
    "schedulers": _schedulers,
    "vae": _vae,
    "t5": _t5,
    "pipeline": _pipeline,
}
