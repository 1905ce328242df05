"""A pyannote pipeline of random weights in a folder: PyanNet, WeSpeaker and VBx, small enough for tests."""

import warnings
from pathlib import Path

import numpy as np

CONFIG = """\
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 8
    embedding: $model/embedding
    embedding_batch_size: 8
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""
_XVECTOR, _LDA = 256, 128


def write_pyannote(folder: Path, seed: int = 0) -> Path:
    """Write config.yaml and the folders segmentation, embedding and plda; returns `folder`. Needs pyannote.audio."""
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34
    from pyannote.audio.models.segmentation import PyanNet

    torch.manual_seed(seed)
    small = {"hidden_size": 16, "num_layers": 1, "bidirectional": True, "monolithic": True}
    segmentation = PyanNet(lstm=small, linear={"hidden_size": 16, "num_layers": 1})
    segmentation.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=10.0,
        classes=["s1", "s2", "s3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    embedding = WeSpeakerResNet34()
    embedding.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0, classes=["a"]
    )
    for name, network in (("segmentation", segmentation), ("embedding", embedding)):
        network.build()
        _save(network, folder / name / "pytorch_model.bin")
    rng = np.random.default_rng(seed)
    (folder / "plda").mkdir()
    lda = rng.normal(size=(_XVECTOR, _LDA))
    np.savez(folder / "plda" / "xvec_transform.npz", mean1=np.zeros(_XVECTOR), mean2=np.zeros(_LDA), lda=lda)
    psi = np.linspace(5, 0.1, _LDA)
    np.savez(folder / "plda" / "plda.npz", mu=np.zeros(_LDA), tr=np.eye(_LDA), psi=psi)
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def _save(network: object, path: Path) -> None:
    from lightning.pytorch import Trainer

    path.parent.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False)
        trainer.strategy.connect(network)
        trainer.save_checkpoint(path)
