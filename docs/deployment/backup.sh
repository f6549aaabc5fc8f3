#!/bin/sh
# Takes a backup and removes old ones: the newest 7 are kept, and the first of each of the last 12 months.
#
#     backup.sh PROGRAM INSTANCE BACKUPS [NAME]
#
# PROGRAM is sr-engine, INSTANCE the folder of the instance, BACKUPS the folder of its backups; NAME is the time, UTC, if
# left out. Nothing is removed unless the new one is whole. Private keys are not in it: keep them apart.
set -eu
umask 077
program=$1 instance=$2 backups=$3
name=${4:-$(date -u +%Y-%m-%dT%H%M%SZ)}

"$program" backup --dir "$instance" "$backups/$name"

taken() {
    # Their names sort as their times do. What else is in the folder is nobody's business here.
    find "$backups" -mindepth 1 -maxdepth 1 -type d -name '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*Z' -printf '%f\n' | sort
}
kept=$(
    taken | tail -n 7
    taken | awk '!seen[substr($0, 1, 7)]++' | tail -n 12
)
taken | while read -r one; do
    if ! printf '%s\n' "$kept" | grep -qxF -- "$one"; then
        rm -r -- "${backups:?}/$one"
        echo "removed $one"
    fi
done
