#!/bin/sh
# The restore_command of a recovery: hands PostgreSQL one file of WAL out of a folder that the task fills from the store
# (wal-provider.ts). A shell script, since PostgreSQL starts it for each segment and a larger program would cost more
# time than the segment.
#
#   restore-wal.sh <folder> <pid of the task> <name> <path to write>
#
# Ends with 0 when the file is there; with 1 when the task has proven that the store has none, which PostgreSQL takes for
# the end of the WAL; with 255 in any doubt, which ends the recovery. Never 1 in doubt: the clone would be promoted
# without the rest, and nobody would know.
folder=$1 task=$2 name=$3 target=$4

waited=0
while :; do
  [ -e "$folder/failed" ] && exit 255
  # Renamed into its place when complete, so what is here is whole.
  [ -e "$folder/$name" ] && { mv "$folder/$name" "$target" && exit 0; exit 255; }
  [ -e "$folder/$name.absent" ] && exit 1
  [ "$waited" -eq 0 ] && { : >"$folder/$name.wanted" || exit 255; }
  kill -0 "$task" 2>/dev/null || exit 255
  # 12,000 times 0.05 s and more: ten minutes for one file, in which the task has tried and given up long ago. The first
  # looks are close to each other: a replay that is faster than the store waits for every segment.
  waited=$((waited + 1))
  [ "$waited" -gt 12000 ] && exit 255
  if [ "$waited" -lt 20 ]; then sleep 0.01; else sleep 0.05; fi
done
