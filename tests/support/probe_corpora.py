"""Clips of probe corpora."""

import torch

from audiopg.analysis.corpora.synthetic import Corpus
from audiopg.arrays import Float64

CPU = torch.device("cpu")


RATE_HZ = 16_000


def heard(corpus: Corpus) -> Float64:
    return corpus.waveforms(0, len(corpus)).double().numpy()
