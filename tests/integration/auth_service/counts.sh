#!/bin/sh
# counts.sh PROGRAM [LOG]: what the example counts in a log is what grep and awk count in it; without a log, what is
# known of the example's own sample. Also: from a file and from standard input, in any directory, it counts the same.
set -eu
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

fail() {
    echo "counts.sh: $*" >&2
    exit 1
}

if [ $# -lt 2 ]; then
    (cd / && "$program" --counts) >"$work/ours"
    cat >"$work/theirs" <<'END'
auth.alert.brute_force 1
auth.alert.root_attempts 1
auth.connection.closed 1
auth.connection.disconnected 3
auth.connection.mismatched 1
auth.connection.silent 1
auth.login.failed 10
auth.login.succeeded 1
auth.session.closed 1
auth.session.opened 1
auth.user.invalid 2
failed.from.192.0.2.7 1
failed.from.192.0.2.88 2
failed.from.198.51.100.20 1
failed.from.2001:db8::5 1
failed.from.203.0.113.9 5
lines.bad 2
lines.event 20
lines.nothing 2
lines.other_program 1
accepted 23
handled 23
END
    diff "$work/theirs" "$work/ours" || fail "the sample's counts differ"
    (cd / && "$program") >"$work/readable"
    grep -q '; it adds up$' "$work/readable" || fail "the summary does not add up"
    grep -q '^  line 22 is bad (no time at its beginning): this is no line of a log$' "$work/readable" ||
        fail "the bad line is not shown"
    exit 0
fi

log=$2
tr -d '\r' <"$log" >"$work/log"

# count NAME PATTERN: a line for each match of the pattern in the text of sshd
count() { printf '%s %s\n' "$1" "$(grep -cE "sshd\[[0-9]+\]: (error: )?$2" "$work/log" || true)"; }

# One line `SECONDS ADDRESS USER` for each failed login, repeated ones repeated. These logs stay within a month, and
# have no user name of more than one word but ` 0101`.
awk '/: (message repeated [0-9]+ times: \[ )?Failed [a-z]+ for / {
    split($3, clock, ":")
    for (i = 1; i <= NF; ++i) {
        if ($i == "repeated") times = $(i + 1)
        if ($i == "for" && user == "") user = $(i + 1) == "invalid" ? $(i + 3) : $(i + 1)
        if ($i == "from") address = $(i + 1)
    }
    if (times == "") times = 1
    while (times-- > 0) print (($2 * 24 + clock[1]) * 60 + clock[2]) * 60 + clock[3], address, user
    times = user = address = ""
}' "$work/log" >"$work/failed"

# alerts LIMIT SECONDS: how often `LIMIT` failures lie within the window, once until the address has kept quiet for as long
alerts() {
    awk -v limit="$1" -v window="$2" '{
        a = $2
        if (!(a in n) || time[a, n[a]] <= $1 - window) alerted[a] = 0
        time[a, ++n[a]] = $1
        if (n[a] >= limit && time[a, n[a] - limit + 1] > $1 - window && !alerted[a]) { alerted[a] = 1; ++count }
    } END { print count + 0 }'
}

{
    printf 'auth.alert.brute_force %s\n' "$(alerts 5 60 <"$work/failed")"
    printf 'auth.alert.root_attempts %s\n' "$(awk '$3 == "root"' "$work/failed" | alerts 3 600)"
    count auth.connection.closed 'Connection closed by '
    count auth.connection.disconnected 'Received disconnect from '
    count auth.connection.mismatched 'reverse mapping checking getaddrinfo '
    count auth.connection.silent 'Did not receive identification string '
    printf 'auth.login.failed %s\n' "$(wc -l <"$work/failed" | tr -d ' ')"
    count auth.login.succeeded 'Accepted '
    count auth.session.closed 'pam_unix\(sshd:session\): session closed '
    count auth.session.opened 'pam_unix\(sshd:session\): session opened '
    count auth.user.invalid 'Invalid user '
    awk '{ print $2 }' "$work/failed" | sort | uniq -c | awk '{ print "failed.from." $2, $1 }' | sort
} >"$work/theirs"

"$program" --counts "$log" >"$work/all"
grep -E '^(auth|failed)\.' "$work/all" | sort >"$work/ours"
sort "$work/theirs" >"$work/sorted"
diff "$work/sorted" "$work/ours" || fail "the counts differ (< by text tools, > by the example)"

read_lines=$(awk '/^lines\./ { n += $2 } END { print n }' "$work/all")
[ "$read_lines" = "$(grep -c '' "$work/log")" ] || fail "$read_lines lines were read"
events=$(awk '/^auth\./ { n += $2 } END { print n }' "$work/all")
[ "$(grep -xE 'accepted [0-9]+' "$work/all")" = "accepted $events" ] || fail "accepted is not $events"
[ "$(grep -xE 'handled [0-9]+' "$work/all")" = "handled $events" ] || fail "handled is not $events"

"$program" --counts - <"$log" | diff "$work/all" - || fail "standard input counts otherwise"
