"""How well and how fast the corpus is played, and turned into spectrograms."""

from dataclasses import replace
from functools import partial

import torch

from audiopg.data.synthetic import SyntheticClips
from audiopg.rehearse.setting import SHARE, Figures, Setting
from audiopg.synth.arrange import arrange
from audiopg.synth.batched import player as batched
from audiopg.synth.world import World

N_GOLDEN = 8  # clips of both renderers that are compared
N_TIMED = 32  # clips by which both renderers are timed; a small GPU holds them


def renderers(setting: Setting) -> Figures:
    """Compare the two renderers, the batched one on the device of the training: they play the same clips.

    Returns:
        ``largest_difference`` of a sample; and clips/s of both, without the drawing of scores, the compiled one on the
        threads of pre-training.
    """
    cfg, device = setting.cfg, setting.backend.device
    world = World(cfg.synth, cfg.seed, n_threads=cfg.pretrain.n_threads)
    score = world.score(range(N_GOLDEN))
    difference = world.render(score) - batched.render(arrange(score, world.grid), device).cpu()
    one, many = replace(setting, seconds=SHARE * setting.seconds), world.score(range(N_TIMED))
    return {
        "n_clips": N_GOLDEN,
        "largest_difference": difference.abs().max().item(),
        "compiled_clips_per_s": one.rate(lambda: world.render(many), N_TIMED),
        "batched_clips_per_s": one.rate(lambda: batched.render(arrange(many, world.grid), device), N_TIMED),
    }


def clips(setting: Setting) -> Figures:
    """Play batches of pre-training on one thread and on all of its threads; and make spectrograms of them."""
    cfg = setting.cfg
    n_clips, rates = cfg.pretrain.batch_size, {}
    for n_threads in sorted({1, cfg.pretrain.n_threads}):
        world = World(cfg.synth, cfg.seed, setting.backend.synth_device, n_threads)
        rates[f"clips_per_s_{n_threads}_threads"] = setting.rate(partial(world.play, range(n_clips)), n_clips)
    made = SyntheticClips(cfg.synth, cfg.features, cfg.seed, setting.backend.device, setting.backend.synth_device)
    waveforms = setting.backend.to_device(made.world.play(range(n_clips)))
    with torch.no_grad():
        rates["log_mel_per_s"] = setting.rate(partial(made.log_mel, waveforms), n_clips)
    return dict(rates)
