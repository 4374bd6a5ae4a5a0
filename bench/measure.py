#!/usr/bin/env python3
"""Runs the benchmarks that bench/run has built, each repeated and in random order, and has the report written.

Needs nothing but Python 3. What a program measured is kept although another one fails; then the exit status is 1.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # nothing is left behind in the source tree
import report  # noqa: E402

# What --quick leaves out of the large programs: the rest keeps one point of each plot.
QUICK_SKIPS = re.compile(
    r"^throughput/.*buffer:65536"
    r"|^throughput/(?!.*(publishers:1/workers:[124]|publishers:2/workers:2|publishers:4/workers:4)/)"
    r"|^latency/sleeping/workers:[24]|^open_loop/.*rate:(1000|1000000)/|^traffic/topics/.*:100/|^footprint/life"
    r"|^queue/.*/64|^schedule/|^timer_queue/|^peers/.*threads:8|^scaling/subscribers/.*:1000/"
)
LONGEST = 900  # seconds that one program may take
# The programs that the plots need come first, in case the time is short.
FIRST = ("throughput", "latency", "filter", "middleware", "redis", "redis_latency", "open_loop", "scaling", "traffic", "peers",
         "publish", "original", "original_redis")
# With --quick once each, and shorter: how long they take is fixed, whatever the least time of a benchmark.
ONCE = ("latency", "open_loop", "scaling", "traffic", "original", "redis", "redis_latency", "original_redis")
QUICK = 115  # seconds that all of them together may take with --quick


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0] if done.returncode == 0 else ""


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def processor():
    found = re.search(r"^model name\s*:\s*(.+)$", read("/proc/cpuinfo"), re.M)
    return found.group(1) if found else platform.machine()


def system():
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', read("/etc/os-release"), re.M)
    return (found.group(1) + ", " if found else "") + platform.system() + " " + platform.release()


def busy_seconds():
    """Seconds in which processors were not idle, of all of them; None where it is not told."""
    found = re.match(r"cpu +(.+)", read("/proc/stat"))
    if not found:
        return None
    ticks = [int(value) for value in found.group(1).split()[:8]]  # user nice system idle iowait irq softirq steal
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")


def others_now(seconds):
    """Processors that others keep busy at present; 0 where it is not told."""
    before, began = busy_seconds(), time.monotonic()
    if before is None:
        return 0.0
    time.sleep(seconds)
    return max(0.0, (busy_seconds() - before) / (time.monotonic() - began))


def load_now():
    try:
        return "%.2f %.2f %.2f" % os.getloadavg()
    except OSError:
        return ""


def cmake_cache(build):
    return dict(re.findall(r"^(\w+):\w+=(.*)$", read(os.path.join(build, "CMakeCache.txt")), re.M))


def machine(root, build, load):
    """What heads the report."""
    cache = cmake_cache(build)
    kind = cache.get("CMAKE_BUILD_TYPE", "")
    flags = " ".join((cache.get("CMAKE_CXX_FLAGS", ""), cache.get("CMAKE_CXX_FLAGS_" + kind.upper(), ""))).strip()
    version = "".join(
        "." + number for number in re.findall(r"#define GOSSIP_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)",
                                              read(os.path.join(root, "include/gossip/version.hpp"))))[1:]
    commit = first_line(["git", "-C", root, "describe", "--always", "--dirty"])
    memory = re.search(r"MemTotal:\s+(\d+) kB", read("/proc/meminfo"))
    governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": processor(),
        "processors": os.cpu_count() or 0,
        "memory": "%.1f GiB" % (int(memory.group(1)) / 2**20) if memory else "",
        "frequency governor": governor,
        "system": system(),
        "compiler": first_line([cache.get("CMAKE_CXX_COMPILER", "c++"), "--version"]),
        "flags": "-std=c++20 " + flags,
        "gossip": " ".join(part for part in (version, commit and "(" + commit + ")") if part),
        "redis": first_line(["redis-server", "--version"]),
        **found_by_cmake(build, "versions.txt"),
        "load before": load,
    }


def found_by_cmake(build, name):
    """What CMake found of other libraries: lines `name: version` or `name: not found; ...`."""
    lines = [line.partition(": ") for line in read(os.path.join(build, "bench", name)).splitlines()]
    return {name: what for name, _, what in lines if what}


COMPILED = ["%s/%s" % (how, what) for how in ("syntax", "object") for what in ("gossip", "standard_headers")]


def compile_time(script, compiler, names, runs):
    """The rows of compile_time.sh as if it were a benchmark, and what went wrong."""
    done = subprocess.run([script, str(runs)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "CXX": compiler})
    found = [line.split() for line in done.stdout.splitlines()]
    rows = [{"name": name, "run_name": name, "run_type": "iteration", "real_time": float(seconds),
             "cpu_time": float(seconds), "time_unit": "s"} for name, seconds in found if name in names]
    rows.sort(key=lambda row: names.index(row["name"]))
    failed = done.returncode != 0 or {row["name"] for row in rows} != set(names)
    return rows, "compile_time: " + (done.stderr.strip()[:500] or "it did not measure all") if failed else ""


class Progress:
    """One line that is rewritten on a terminal; a line for each program elsewhere."""

    def __init__(self):
        self.start = time.monotonic()
        self.live = sys.stderr.isatty()

    def spent(self):
        return time.monotonic() - self.start

    def note(self, text, done=False):
        if not self.live and not done:
            return
        line = "== %4ds  %s" % (self.spent(), text)
        width = shutil.get_terminal_size().columns
        sys.stderr.write(("\r\033[K" + line[: width - 1]) if self.live else line)
        if done or not self.live:
            sys.stderr.write("\n")
        sys.stderr.flush()


def environment(quick):
    """Of a benchmark; how many there are in those of fixed length is part of their names."""
    return {**os.environ, "GOSSIP_BENCH_QUICK": "1"} if quick else None


def names_of(program, quick):
    done = subprocess.run([program, "--benchmark_list_tests=true"], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=True, env=environment(quick))
    return [line for line in done.stdout.splitlines() if line]


def measure(program, short, names, repetitions, quick, out, progress, label, longest):
    """The rows of one program, what went wrong, and whether its time was up."""
    exact = "^(" + "|".join(re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", name) for name in names) + ")$"
    command = [program, "--benchmark_filter=" + exact, "--benchmark_repetitions=%d" % repetitions,
               "--benchmark_enable_random_interleaving=true", "--benchmark_min_time=%g" % (0.01 if quick else 0.1),
               "--benchmark_out_format=json", "--benchmark_out=" + out]
    if os.path.exists(out):
        os.remove(out)
    began = time.monotonic()
    log = out[: -len(".json")] + ".log"
    with open(log, "w", encoding="utf-8") as file:
        running = subprocess.Popen(command, env=environment(quick), stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            while running.poll() is None:
                spent = time.monotonic() - began
                progress.note("%s %s: %d benchmarks × %d, %d s" % (
                    label, short, len(names), repetitions, spent))
                if spent > longest:
                    running.kill()
                    running.wait()
                    return [], "", True
                time.sleep(0.2)
        except BaseException:
            running.kill()
            running.wait()
            raise
    spent = time.monotonic() - began
    try:
        rows = json.loads(read(out))["benchmarks"]
    except (ValueError, KeyError):
        rows = []
    rows = [row for row in rows if row.get("run_type", "iteration") == "iteration"]
    place = {name: index for index, name in enumerate(names)}
    rows.sort(key=lambda row: place.get(report.plain(row), len(names)))  # they ran in random order
    failures = sorted({"%s/%s: %s" % (short, row["name"], row.get("error_message", ""))
                       for row in rows if row.get("error_occurred")})
    if running.returncode != 0:
        failures.append("%s ended with status %d; see %s" % (short, running.returncode, log))
    elif {report.plain(row) for row in rows} < set(names):
        failures.append("%s did not report all of its benchmarks; see %s" % (short, log))
    progress.note("%s %s: %d benchmarks × %d in %d s" % (label, short, len(names), repetitions, spent), True)
    return rows, "; ".join(failures), False


def keep_whole(path, page):
    """Before a run of a part writes its report: that of a whole run is kept under another name, which is returned."""
    whole = os.path.join(os.path.dirname(path), "whole.json")
    try:
        old = report.load(path)
    except (OSError, ValueError):
        old = {"quick": True}
    if not old.get("quick") and not old.get("filter"):
        os.replace(path, whole)
        if os.path.exists(page):
            os.replace(page, os.path.join(os.path.dirname(page), "whole.html"))
    return whole if os.path.exists(whole) else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--filter", default="")
    parser.add_argument("--against", default="")
    parser.add_argument("--repetitions", type=int, default=0)
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--budget", type=float, default=QUICK, help="seconds that all may take with --quick")
    parser.add_argument("--load", default="", help="the load before the build; what it is now unless given")
    parser.add_argument("--quiet", type=float, default=report.QUIET, help="processors that others may keep busy")
    options = parser.parse_args()
    # What is being measured ends with this, however it is ended.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    once = ONCE if options.quick and not options.repetitions else ()
    options.repetitions = options.repetitions or (3 if options.quick else 9)
    try:
        wanted = re.compile(options.filter)
    except re.error as error:
        parser.error("--filter '%s': %s" % (options.filter, error))
    if options.readme and (options.quick or options.filter):
        parser.error("--readme wants the figures of a whole run, without --quick and --filter")
    against = None
    if options.against:
        try:
            against = report.load(options.against)
        except (OSError, ValueError, KeyError) as error:
            parser.error("--against %s: %s" % (options.against, error))

    folder = os.path.join(options.build, "bench")
    programs = sorted(name for name in os.listdir(folder)
                      if name.endswith("_bench") and os.access(os.path.join(folder, name), os.X_OK))
    order = {name + "_bench": place for place, name in enumerate(FIRST)}
    programs.sort(key=lambda name: order.get(name, len(order)))
    sources = {name[: -len(".cpp")] for name in os.listdir(os.path.join(options.root, "bench"))}
    left_out, plan = [], []
    for program in programs:
        short = program[: -len("_bench")]
        if program not in sources:
            continue  # left behind by an earlier build
        if "redis" in short and not shutil.which("redis-server"):
            left_out.append(short + ": there is no redis-server here")
            continue
        names = [name for name in names_of(os.path.join(folder, program), options.quick) if wanted.search(short + "/" + name)]
        if options.quick and not options.filter:
            names = [name for name in names if not QUICK_SKIPS.search(short + "/" + name)]
        if names:
            plan.append((program, short, names))
    missing = sorted(source for source in sources if source.endswith("_bench") and source not in programs)
    left_out += ["%s: not built; its libraries are not here" % name[: -len("_bench")] for name in missing]
    script = os.path.join(options.root, "bench", "compile_time.sh")
    compiled = [name for name in COMPILED if wanted.search("compile_time/" + name) and os.path.exists(script)]
    if options.quick and not options.filter and compiled:
        compiled = []
        left_out.append("compile_time: it takes its time; give --quick a --filter compile_time")
    if not plan and not compiled:
        parser.error("no benchmark matches '%s'" % options.filter)
    if options.list:
        for _, short, names in plan:
            for name in names:
                print(short + "/" + name)
        for name in compiled:
            print("compile_time/" + name)
        return 0

    readme = os.path.join(options.root, "README.md")
    if options.readme:  # what can be known before is told before, not after half an hour
        try:
            report.around_section(readme)
        except (OSError, ValueError) as error:
            parser.error("--readme: %s" % error)
        used = others_now(2)
        if used > options.quiet:
            parser.exit(1, "bench/run: others keep %.2f processors busy at present, and %.2f at most are quiet: these would "
                        "be no figures for README.md. Nothing was measured.\n" % (used, options.quiet))

    result = {"format": 1, "machine": machine(options.root, options.build, options.load or load_now()),
              "peers": found_by_cmake(options.build, "peers.txt"), "quick": options.quick, "quiet": options.quiet, "filter": options.filter,
              "repetitions": options.repetitions, "left_out": left_out, "failures": [], "programs": []}
    raw = os.path.join(options.build, "raw")
    os.makedirs(raw, exist_ok=True)
    progress = Progress()
    for number, (program, short, names) in enumerate(plan, 1):
        label = "[%d/%d]" % (number, len(plan))
        longest = LONGEST if not options.quick else min(LONGEST, options.budget - progress.spent())
        if longest < options.budget / 20:
            left_out.append(short + ": the time of --quick was up; give it a --filter")
            continue
        repetitions = 1 if short in once else options.repetitions
        rows, failure, cut = measure(os.path.join(folder, program), short, names, repetitions, options.quick,
                                     os.path.join(raw, short + ".json"), progress, label, longest)
        if cut and options.quick:
            left_out.append(short + ": cut off when the time of --quick was up; give it a --filter")
            progress.note("left out: " + left_out[-1], True)
            continue
        if cut:
            failure = "%s took more than %d s and was ended" % (short, longest)
        about = report.head_comment(read(os.path.join(options.root, "bench", program + ".cpp")))
        result["programs"].append({"name": short, "about": about, "repetitions": repetitions, "rows": rows})
        if failure:
            result["failures"].append(failure)
            progress.note("FAILED: " + failure, True)
    if compiled:
        progress.note("compile_time: %d benchmarks × %d" % (len(compiled), options.repetitions))
        compiler = cmake_cache(options.build).get("CMAKE_CXX_COMPILER", "c++")
        rows, failure = compile_time(script, compiler, compiled, options.repetitions)
        result["programs"].append({"name": "compile_time", "about": report.head_comment(read(script)), "rows": rows})
        if failure:
            result["failures"].append(failure)
        progress.note("FAILED: " + failure if failure else "compile_time: done", True)
    result["machine"]["seconds"] = round(progress.spent())
    result["machine"]["load after"] = load_now()

    path = os.path.join(options.build, "report.json")
    page = os.path.join(options.build, "report.html")
    kept = keep_whole(path, page) if options.quick or options.filter else ""
    report.save(result, path)
    report.write_text(page, report.html(result, against))
    sys.stdout.write(report.table(result, against))
    if options.readme and (result["failures"] or report.busy(result)):
        print("README.md stays as it is: %s" % ("something failed" if result["failures"] else report.busy(result)))
        return 1
    if options.readme:
        report.rewrite_readme(readme, result)
        print("README.md has the figures of this run")
    if kept:
        print("This was a part of all; the last whole run is kept as %s" % kept)
    print("%s\n%s" % (page, path))
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
