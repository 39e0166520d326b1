#!/usr/bin/env bash
# One call on a GPU host without a network: unpack vLLM, measure config/turns.yaml or the files
# that DESIGN names, end in time.
#
#   tests/gpu/run_turns_on_host.sh OUT DATASET SECONDS BUNDLE [SNAKEMAKE ARGUMENTS ...]
#
# SECONDS bounds the whole call. BUNDLE is a directory with unpack_gpu_bundle.sh and its parts,
# or `none` where vLLM imports already. Environment: as run_on_host.sh, and beside a BUNDLE
# OTHERS, further versions of vLLM that an earlier call unpacked there with unpack_gpu_bundle.sh:
# `VERSION=DIRECTORY ...`. BUNDLED is the version in BUNDLE (0.22.1).
set -euo pipefail
begun=$(date +%s)
cd "$(dirname "$0")/../.."
out=${1:?usage: run_turns_on_host.sh OUT DATASET SECONDS BUNDLE [ARGUMENTS ...]}
dataset=${2:?name the data set} seconds=${3:?bound the call, in seconds}
bundle=${4:?name the directory of the bundle, or none}
shift 4
mkdir -p "$out"
if [ "$bundle" != none ]; then
  scratch=$(mktemp -d)
  for part in "$bundle"/part*; do bash "$bundle/unpack_gpu_bundle.sh" stash "$part" "$scratch/parts"; done
  bash "$bundle/unpack_gpu_bundle.sh" unpack "$scratch/parts" "$scratch/vllm"
  . "$scratch/vllm/env.sh"
  export LAB_CACHE=${LAB_CACHE:-$scratch/cache}
  # Compiled once, before four engines import it at the same time.
  "${PYTHON:-python3}" -m compileall -q -j 0 "$scratch/vllm/site" >"$out/compileall.log" 2>&1 &
fi
# A Python for each version: one whose PYTHONPATH has that version in the place of the bundle's.
pythons=""
for other in ${OTHERS:-}; do
  version=${other%%=*} directory=${other#*=} python=$scratch/python-${other%%=*}
  cat >"$python" <<END
#!/usr/bin/env bash
export PYTHONPATH=\$(sed "s#$scratch/vllm/site#$directory/site#" <<<"\$PYTHONPATH")
exec "${PYTHON:-python3}" "\$@"
END
  chmod +x "$python"
  # Here, before minutes of boots are spent on arms that cannot start.
  "$python" -c 'import sys, vllm; sys.exit(vllm.__version__ != sys.argv[1])' "$version" ||
    { echo "OTHERS: $directory holds no vLLM $version; unpack it there" >&2; exit 1; }
  pythons+=", $version: $python"
  "${PYTHON:-python3}" -m compileall -q -j 0 "$directory/site" >"$out/compileall-$version.log" 2>&1 &
done
[ -z "$pythons" ] || export VLLM_PYTHON="{${BUNDLED:-0.22.1}: ${PYTHON:-python3}$pythons}"
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD/workflow${PYTHONPATH:+:$PYTHONPATH}"
# Some seconds to pack what was measured. With a shorter span Snakemake is busy beside a run.
bash tests/gpu/run_on_host.sh "$out" "$dataset" $((seconds - ($(date +%s) - begun) - 8)) \
  --max-jobs-per-timespan 100/1s --configfile ${DESIGN:-config/turns.yaml} "$@"
echo "the call took $(($(date +%s) - begun)) s"
