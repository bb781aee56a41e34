#!/usr/bin/env bash
# Starts a command again as long as a new start may help, and ends as the command did where none does.
#
#   scripts/keep_running.sh python run.py train --gin_file=... --gin.MODEL_DIR=...
#
# 0 (done), 2 (bad input), 3 (diverged) and 4 (a device computes wrongly) end it: the same start would
# come to the same end. After 143 (told to leave, all saved), 75 (told to leave, not all saved), 1 and
# everything else the command is started again after PAUSE seconds (20), at most RESTARTS times (100).
# A file STOP (default: stop_training, in the current folder) ends it, too; SIGTERM to this script goes
# on to the command and is the last start.
set -uo pipefail

PAUSE=${PAUSE:-20}
RESTARTS=${RESTARTS:-100}
STOP=${STOP:-stop_training}

told=
child=
trap 'told=1; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null' TERM

for ((start = 0; start <= RESTARTS; start++)); do
  "$@" &
  child=$!
  wait "$child"
  code=$?
  # A signal ends `wait` before the command has ended.
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
  child=
  case "$code" in 0 | 2 | 3 | 4) exit "$code" ;; esac
  [ -n "$told" ] || [ -e "$STOP" ] && exit "$code"
  echo "exit code $code: starts again in $PAUSE s ($((start + 1)) of $RESTARTS)" >&2
  sleep "$PAUSE" &
  wait $!
  [ -n "$told" ] || [ -e "$STOP" ] && exit "$code"
done
exit "$code"
