# Sourced by tests/run, examples/run and bench/run. Installs what is missing with the system's package manager, or says how.
#
#   install_packages group...     groups: build, test, redis, bench, newer, coverage
#
# A group is a list of needs; a need is looked for first, so what is there, from wherever, is left alone. Everything is
# said on standard error, and standard input is not touched.

packages_say() { printf '%s\n' "$*" >&2; }

packages_needs_of() {
    case $1 in
        build) echo compiler cmake ninja ;;
        test)
            echo g++ clang++ clang-runtime cmake ninja pkg-config catch2 benchmark
            packages_needs_of redis
            echo rapidjson zstd libssl openssl python3
            echo 'ccache? clang-format? clang-tidy? spin?' ;;
        newer) echo debootstrap unshare ;;
        coverage) echo gcovr ;;
        redis) echo hiredis nlohmann-json redis-server ;;
        bench) echo compiler cmake ninja benchmark python3 'pkg-config?' 'hiredis?' 'nlohmann-json?' 'redis-server?' \
                    'catch2?' 'concurrentqueue?' 'tbb?' 'boost?' ;;
    esac
}

packages_have_header() {
    local root
    for root in /usr/include /usr/local/include /opt/homebrew/include; do
        [ -e "$root/$1" ] && return 0
    done
    return 1
}

# Is the need met?
packages_have() {
    case $1 in
        compiler) command -v "${CXX:-c++}" || command -v g++ || command -v clang++ ;;
        clang-runtime) # present when the compiler names a path, not just the bare file
            local file
            for file in "libclang_rt.tsan-$(uname -m).a" libclang_rt.tsan.a; do
                [[ $(clang++ -print-file-name="$file" 2>/dev/null) != */* ]] || return 0
            done
            return 1 ;;
        ninja) command -v ninja ;;
        pkg-config) command -v pkg-config || command -v pkgconf ;;
        catch2) packages_have_header catch2/catch.hpp || packages_have_header catch2/catch_all.hpp ;;
        benchmark) packages_have_header benchmark/benchmark.h ;;
        hiredis) packages_have_header hiredis/hiredis.h ;;
        nlohmann-json) packages_have_header nlohmann/json.hpp ;;
        rapidjson) packages_have_header rapidjson/reader.h ;;
        concurrentqueue) # each system has it in a folder of its own
            packages_have_header concurrentqueue.h || packages_have_header concurrentqueue/concurrentqueue.h ||
                packages_have_header concurrentqueue/moodycamel/concurrentqueue.h ||
                packages_have_header moodycamel/concurrentqueue.h ;;
        tbb) packages_have_header tbb/concurrent_queue.h ;;
        boost) packages_have_header boost/lockfree/queue.hpp && packages_have_header boost/signals2.hpp ;;
        zstd) packages_have_header zstd.h ;;
        libssl) packages_have_header openssl/ssl.h ;;
        clang-format | clang-tidy) command -v "$1-14" || "$1" --version 2>/dev/null | grep -q 'version 14\.' ;;
        *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

# What Debian and Ubuntu call it.
packages_name_of() {
    case $1 in
        compiler) echo g++ ;;
        clang++) echo clang ;;
        clang-runtime) echo "libclang-rt-$(clang++ -dumpversion 2>/dev/null | cut -d. -f1)-dev" ;;
        ninja) echo ninja-build ;;
        benchmark) echo libbenchmark-dev ;;
        clang-format | clang-tidy) echo "$1-14" ;;
        hiredis) echo libhiredis-dev ;;
        concurrentqueue) echo libconcurrentqueue-dev ;;
        tbb) echo libtbb-dev ;;
        boost) echo libboost-dev ;;
        nlohmann-json) echo nlohmann-json3-dev ;;
        rapidjson) echo rapidjson-dev ;;
        unshare) echo util-linux ;;
        zstd) echo libzstd-dev ;;
        libssl) echo libssl-dev ;;
        *) echo "$1" ;;
    esac
}

packages_as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

packages_apt() {
    packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

packages_only_optional() {
    local need only=()
    for need in "$@"; do [ "$need" = "${need%\?}" ] || only+=("$need"); done
    echo "${only[*]}"
}

# Installs the packages of the needs given; those marked `?` only where the system has them.
packages_install() {
    local need package wanted=()
    if ! command -v apt-get >/dev/null; then
        packages_say "missing: ${*//\?/ (optional)}. Without apt-get they want installing by hand."
        return 1
    fi
    for need in "$@"; do wanted+=("$(packages_name_of "${need%\?}")"); done
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        packages_say "missing: ${wanted[*]}. Neither root nor sudo here; as root: apt-get install ${wanted[*]}"
        return 1
    fi
    # Without package lists nothing is found; and what must be there is worth a look at the newest ones.
    if [ "$*" != "$(packages_only_optional "$@")" ] || [ -z "$(apt-cache madison g++ 2>/dev/null)" ]; then
        packages_say "apt-get update, for: ${wanted[*]}"
        packages_apt -qq update || packages_say "apt-get update failed; trying with the lists there are"
    fi
    wanted=()
    for need in "$@"; do
        package=$(packages_name_of "${need%\?}")
        if [ "$need" = "${need%\?}" ] || [ -n "$(apt-cache madison "$package" 2>/dev/null)" ]; then
            wanted+=("$package")
        else
            packages_say "not on this system: $package; going on without"
        fi
    done
    [ ${#wanted[@]} != 0 ] || return 0
    packages_say "installing with apt-get: ${wanted[*]}"
    packages_apt -qq install -y --no-install-recommends "${wanted[@]}"
}

install_packages() {
    local group need missing round
    # Two rounds: what the second needs may be named after what the first installed.
    for round in 1 2; do
        missing=()
        for group in "$@"; do
            for need in $(packages_needs_of "$group"); do
                [ "$round$need" = 1clang-runtime ] && ! packages_have clang++ && continue
                [ "$round$need" != "2${need%\?}" ] && [ "$round" = 2 ] && continue # optional ones were tried
                packages_have "${need%\?}" || missing+=("$need")
            done
        done
        [ ${#missing[@]} = 0 ] || packages_install "${missing[@]}" || break
    done
    missing=()
    for group in "$@"; do
        for need in $(packages_needs_of "$group"); do
            [ "$need" = "${need%\?}" ] && ! packages_have "$need" && missing+=("$(packages_name_of "$need")")
        done
    done
    if [ ${#missing[@]} != 0 ]; then
        packages_say "cannot go on without: ${missing[*]} (names as on Debian)"
        return 1
    fi
}
