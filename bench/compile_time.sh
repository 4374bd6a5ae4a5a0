#!/usr/bin/env bash
# What does it cost to compile gossip? examples/hello.cpp, which includes gossip/gossip.hpp and uses it, beside a
# program that includes the standard headers that a hand-written bus needs and instantiates nothing.
# Both are compiled in turn; the figures are medians of the compiler's processor time, which a busy machine blurs less
# than the time on the clock.
#
#   bench/compile_time.sh [RUNS]        15 unless given; CXX names the compiler, g++ unless set
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
runs=${1:-15}
cxx=${CXX:-g++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

{
    printf '#include <%s>\n' algorithm array atomic charconv chrono concepts condition_variable cstddef cstdint cstdio \
        cstring deque exception functional limits memory mutex new optional span stop_token string string_view thread \
        type_traits unordered_map utility vector
    echo 'int main() { return std::puts("welcome") < 0; }'
} > "$scratch/standard.cpp"

seconds() { # processor time of the command
    local TIMEFORMAT='%U %S'
    { time "$@" 2> "$scratch/errors" >&2; } 2>&1 | awk '{ print $1 + $2 }'
}
median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

for mode in "-O0 -fsyntax-only" "-O0 -c -o $scratch/out.o"; do
    : > "$scratch/standard" ; : > "$scratch/gossip"
    for ((i = 0; i < runs; ++i)); do
        # shellcheck disable=SC2086 # the mode is several words
        seconds "$cxx" -std=c++20 $mode "$scratch/standard.cpp" >> "$scratch/standard"
        # shellcheck disable=SC2086
        seconds "$cxx" -std=c++20 $mode -I "$root/include" "$root/examples/hello.cpp" >> "$scratch/gossip"
    done
    awk -v cxx="$cxx" -v mode="${mode%% -o*}" -v s="$(median "$scratch/standard")" -v g="$(median "$scratch/gossip")" \
        'BEGIN { printf "%s %-18s standard headers %.2f s   gossip %.2f s   ratio %.2f\n", cxx, mode, s, g, g / s }'
done
