#!/usr/bin/env bash
# Measure on a GPU host where vLLM, Snakemake and their needs import already, and pack
# everything that came of it into OUT. Stop it at any time and call it again: what is
# measured stays measured, what was unfinished is measured anew.
#
#   tests/gpu/run_on_host.sh OUT DATASET SECONDS [SNAKEMAKE ARGUMENTS ...]
#
# SECONDS bounds the measuring. Arms in turn end their last repeat some seconds earlier, with
# the rounds that they have, so that it is not lost. Further arguments go to Snakemake, for instance
# `--configfile config/full.yaml`; a second `--config` of theirs replaces this script's, so put keys
# into a file. Environment: PYTHON (python3), GPUS (1; devices of an arm of several ranks), LAB_CACHE (a directory
# for compile caches), RESULTS (an archive of an earlier call to go on from). A rehearsal without
# a GPU: MEASURE=cpu, and VLLM_PYTHON where vLLM has an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: run_on_host.sh OUT DATASET SECONDS [ARGUMENTS ...]}
dataset=${2:?name the data set} seconds=${3:?bound the measuring, in seconds}
shift 3
PYTHON=${PYTHON:-python3}
VLLM_PYTHON=${VLLM_PYTHON:-$PYTHON}
mkdir -p "$out" results logs
if [ -n "${RESULTS:-}" ] && [ -f "$RESULTS" ]; then
  tar --skip-old-files -xzf "$RESULTS"
fi
config=("dataset=$dataset" "measure=${MEASURE:-cuda}" "vllm_python=$VLLM_PYTHON" "cache_dir=${LAB_CACHE:-auto}")
export CUDAGRAPH_LAB_UNTIL=$(($(date +%s) + seconds - ${ENDING:-12})) # what ending a repeat takes
status=0
# --nolock: a call that was killed leaves Snakemake's lock of the directory behind.
timeout --signal=KILL "$seconds" "$PYTHON" -m snakemake --cores 1 --resources gpu="${GPUS:-1}" --nolock \
  --config "${config[@]}" "$@" 2>&1 | tee "$out/snakemake.log" || status=$?
tar -czf "$out/results.tar.gz" results logs
# With `sizes`, a data set for each: DATASET-SIZE.
echo "measured: $(find results/"$dataset"*/runs -name 'rep*.json' | wc -l) runs; snakemake ended with $status"
