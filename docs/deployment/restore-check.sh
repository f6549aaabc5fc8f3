#!/bin/sh
# Makes an instance of the newest backup, in a folder that is thrown away, and says how long it took.
#
#     restore-check.sh PROGRAM BACKUPS [DATABASE]
#
# DATABASE is the URL of an empty PostgreSQL database, which whoever calls this makes and drops; left out for SQLite. Ends
# with what `sr-engine restore` ends with: 10 if the backup or its audit trail is not what it was.
set -eu
umask 077
program=$1 backups=$2
newest=$(find "$backups" -mindepth 1 -maxdepth 1 -type d -name '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*Z' | sort | tail -n 1)
if [ -z "$newest" ]; then
    echo "there is no backup in $backups" >&2
    exit 2
fi
place=$(mktemp -d)
trap 'rm -rf -- "$place"' EXIT
began=$(date +%s)
"$program" restore "$newest" --directory "$place/instance" ${3:+--database "$3"}
echo "restored $newest in $(($(date +%s) - began)) s"
