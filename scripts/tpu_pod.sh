#!/usr/bin/env bash
# A training run on Cloud TPU VMs: asks for a slice, sets it up, starts, follows, stops, gives back.
#
#   NAME=polylm ZONE=us-east5-a TYPE=v5p-256 scripts/tpu_pod.sh create
#   NAME=polylm ZONE=us-east5-a scripts/tpu_pod.sh setup
#   NAME=polylm ZONE=us-east5-a scripts/tpu_pod.sh start \
#       --gin_file=gin_configs/recipes/polylm_13b_v5p_128.gin --gin.MODEL_DIR='"gs://BUCKET/polylm_13b"' \
#       --gin.CACHE_DIR='"gs://BUCKET/cache"' --gin.VOCABULARY='"gs://BUCKET/polylm_256k.model"'
#   ... log | stop | delete
#
# TYPE is the accelerator type: v4 and v5p count cores (v5p-256 has 128 chips), v5litepod and v6e
# count chips. SLICES above 1 asks for several of them, joined by the data-center network. SPOT=1
# asks for capacity that may be taken back: the run saves when it is, and `start` goes on. docs/pods.md
# explains each step.
set -euo pipefail

: "${NAME:?the name of the slice}" "${ZONE:?its zone}"
SLICES=${SLICES:-1}
REPOSITORY=${REPOSITORY:-$(git config --get remote.origin.url || true)}
BRANCH=${BRANCH:-$(git rev-parse --abbrev-ref HEAD)}
TPU="gcloud compute tpus queued-resources"

everywhere() {  # a command on every worker of every slice
  $TPU ssh "$NAME" --zone="$ZONE" --node=all --worker=all --command="$1"
}

first() {  # a command on the first worker of the first slice
  $TPU ssh "$NAME" --zone="$ZONE" --node=0 --worker=0 --command="$1"
}

runtime() {  # the VM image of a generation
  case "$1" in
    v4-*) echo tpu-ubuntu2204-base ;;
    v5litepod-*) echo v2-alpha-tpuv5-lite ;;
    v5p-*) echo v2-alpha-tpuv5 ;;
    v6e-*) echo v2-alpha-tpuv6e ;;
    *) echo "TYPE = $1: give one of v4-N, v5litepod-N, v5p-N, v6e-N." >&2; exit 2 ;;
  esac
}

create() {
  : "${TYPE:?the accelerator type, as v5p-256}"
  local nodes=(--node-id="$NAME")
  [ "$SLICES" -gt 1 ] && nodes=(--node-count="$SLICES" --node-prefix="$NAME")
  $TPU create "$NAME" --zone="$ZONE" --accelerator-type="$TYPE" \
    --runtime-version="$(runtime "$TYPE")" "${nodes[@]}" ${SPOT:+--spot}
  echo "asked for; 'state' says when it is ACTIVE"
}

state() { $TPU describe "$NAME" --zone="$ZONE" --format="value(state.state)"; }

setup() {
  everywhere "set -e
    [ -d polylm ] || git clone -q '$REPOSITORY' polylm
    cd polylm && git fetch -q && git checkout -q '$BRANCH' && git pull -q --ff-only
    python3.11 --version >/dev/null 2>&1 || (sudo add-apt-repository -y ppa:deadsnakes/ppa \
      && sudo apt-get install -q -y python3.11 python3.11-venv)
    [ -d .venv ] || python3.11 -m venv .venv
    .venv/bin/pip install -q -r requirements-tpu.txt"
}

start() {  # the same command on every worker; they find each other, and start again together
  local quoted
  quoted=$(printf ' %q' "$@")
  # In braces: a list put into the background as a whole would hold the connection open till its end.
  everywhere "cd polylm && rm -f stop_training && { PAUSE=60 nohup scripts/keep_running.sh \
    .venv/bin/python run.py train $quoted > train.log 2>&1 < /dev/null & }"
}

log() { first "tail -n 50 -F polylm/train.log"; }

stop() {  # SIGTERM to one process saves on all; they leave with 143, and nothing starts them again
  # From the beginning of the command: the shell that searches, and keep_running.sh, name it further on.
  everywhere "touch polylm/stop_training"
  first "pkill -TERM -f '^[^ ]*python run.py train' || true"
  everywhere "timeout 300 bash -c 'while pgrep -f \"^[^ ]*python run.py train\" > /dev/null; do sleep 1; done'"
}

delete() { $TPU delete "$NAME" --zone="$ZONE" --force --quiet; }

command=${1:?one of create, state, setup, start, log, stop, delete}
shift
case "$command" in
  create | state | setup | start | log | stop | delete) "$command" "$@" ;;
  *) echo "There is no command '$command': create, state, setup, start, log, stop, delete." >&2; exit 2 ;;
esac
