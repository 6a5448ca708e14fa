# A large corpus in shards, one job each, on demand (docs/synthesis.md):
#   snakemake --snakefile workflow/corpus.smk --config clips=100000 clips_per_shard=1000 out=corpus
# It is no result of the project: a graph of its own, which DVC does not follow.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from audiopg.config import params
from audiopg.data import shards
from audiopg.errors import AudiopgError
from audiopg.provenance import code_digest, watchdog
from audiopg.provenance.stages import reads
from audiopg.storage import canonical

min_version("9.0")

# as in the Snakefile
BIN = os.path.dirname(sys.executable)
os.environ["PATH"] = BIN + os.pathsep + os.environ["PATH"]
shell.prefix("trap '' TERM; set -euo pipefail; ")


try:
    PLAN = shards.plan(config)
    READS = canonical(reads(params.load(Path("params.yaml")), "render"))
    if workflow.is_main_process:
        watchdog.follow()
    watchdog.lead()
except AudiopgError as error:
    sys.exit(f"audiopg: {error}")


wildcard_constraints:
    shard=r"clips-\d+",


rule corpus:
    default_target: True
    input:
        expand(
            f"{PLAN.out}/{{shard}}.{{suffix}}",
            shard=PLAN.names,
            suffix=["tar", "json"],
        ),
    output:
        manifest=f"{PLAN.out}/{shards.MANIFEST}",
    log:
        "logs/corpus/manifest.log",
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        n_clips=PLAN.clips,
    shell:
        'audiopg checksums "$(dirname {output.manifest:q})" --clips {params.n_clips:q} 2>&1 | tee -i {log:q} >&2'


rule shard:
    output:
        clips=f"{PLAN.out}/{{shard}}.tar",
        card=f"{PLAN.out}/{{shard}}.json",
    log:
        "logs/corpus/{shard}.log",
    resources:
        mem_mb=2000,
        runtime="2h",
    params:
        READS,
        code=code_digest.stage_digest("render"),
        index=lambda wc: PLAN.index(wc.shard),
        clips_per_shard=PLAN.clips_per_shard,
    shell:
        'audiopg render --format webdataset --out "$(dirname {output.clips:q})" --index {params.index:q}'
        " --clips-per-shard {params.clips_per_shard:q} 2>&1 | tee -i {log:q} >&2"
