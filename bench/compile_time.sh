#!/usr/bin/env bash
# What does it cost to compile gossip? examples/hello.cpp, which includes gossip/gossip.hpp and uses it, beside a
# program that includes the standard headers that a hand-written bus needs and instantiates nothing.
# syntax: only checked (-fsyntax-only); object: compiled without optimization (-O0 -c). An iteration is one compilation;
# both programs are compiled in turn, and the time is that of the processor, which a busy machine blurs less than that
# on the clock.
#
#   bench/compile_time.sh [RUNS]        a line `name seconds` for each; 9 runs unless given; CXX names the compiler,
#                                       g++ unless set. `bench/run --filter compile_time` shows medians
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
runs=${1:-9}
cxx=${CXX:-g++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

{
    printf '#include <%s>\n' algorithm array atomic charconv chrono concepts condition_variable cstddef cstdint cstdio \
        cstring deque exception functional limits memory mutex new optional span stop_token string string_view thread \
        type_traits unordered_map utility vector
    echo 'int main() { return std::puts("welcome") < 0; }'
} > "$scratch/standard_headers.cpp"
cp "$root/examples/hello.cpp" "$scratch/gossip.cpp"

# compile name flags...: its processor time, or what the compiler says, and the end of all
compile() {
    local TIMEFORMAT='%U %S' name=$1 what=${1#*/}
    shift
    { time "$cxx" -std=c++20 -O0 "$@" -I "$root/include" "$scratch/$what.cpp" 2> "$scratch/errors" >&2; } \
        2> "$scratch/time" || { cat "$scratch/errors" >&2; exit 1; }
    awk -v name="$name" '{ print name, $1 + $2 }' "$scratch/time"
}

for ((i = 0; i < runs; ++i)); do
    for what in standard_headers gossip; do
        compile "syntax/$what" -fsyntax-only
        compile "object/$what" -c -o "$scratch/out.o"
    done
done
