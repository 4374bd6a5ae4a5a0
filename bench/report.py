#!/usr/bin/env python3
"""From the figures of bench/measure.py to a page, a table for the terminal, and the README's section.

    bench/report.py report.json [--html PAGE] [--against OLD.json] [--readme README.md]

Needs nothing but Python 3. What is missing from the figures is left out, or named.
"""

import argparse
import json
import re
import statistics
import sys

sys.dont_write_bytecode = True  # nothing is left behind in the source tree
from plots import bars, escape, lines, number  # noqa: E402

# Of a benchmark's counters the one that it is about, and its unit. Without any of them it is the items per second or,
# without these, the time of an iteration.
SUBJECTS = (("bus_p50", "µs"), ("p50", "µs"), ("ns", "ns"), ("cpu_us", "µs"), ("bus", "bytes"))
# A word in a benchmark's name that makes it the baseline of those whose other words are the same.
BASELINES = ("ring", "ring_of_120_bytes", "locked_bus", "textbook_ring", "locked_deque", "locked_multimap", "hand", "by_hand",
             "by_hand_locked", "threads", "hiredis_alone", "redis_benchmark", "succeeds", "raw", "by_nlohmann",
             "vector_and_mutex", "nothing", "poll_of_nothing", "moodycamel", "onetbb", "boost_lockfree", "boost_signals2",
             "standard_headers")
WRAPPERS = ("retry", "recovery", "timeout", "chain")  # of original_bench: beside its bare processor
KNOWN = {"name", "run_name", "run_type", "family_index", "per_family_instance_index", "repetitions",
         "repetition_index", "threads", "iterations", "real_time", "cpu_time", "time_unit", "items_per_second",
         "bytes_per_second", "label", "error_occurred", "error_message", "skipped", "skip_message"}
TO_NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
ALLOCATIONS = ("allocations", "allocations_per_event", "allocs")
QUIET = 0.5  # processors that others may keep busy, in the median, while figures may still be quoted


def plain(row):
    return row.get("run_name") or row["name"]


def median(values):
    return statistics.median(values) if values else 0.0


def noise(values):
    """Spread of the repetitions, as a part of the median: the scaled median of the distances from it."""
    middle = median(values)
    return 1.4826 * median([abs(value - middle) for value in values]) / abs(middle) if middle else 0.0


class Figure:
    """One benchmark, all of its repetitions."""

    def __init__(self, program, rows):
        first = rows[0]
        self.program = program
        self.full_name = plain(first)
        self.name = re.sub(r"/(iterations:\d+|manual_time|real_time|process_time|repeats:\d+)", "", self.full_name)
        self.label = first.get("label", "")
        self.counters = {key: median([row[key] for row in rows if isinstance(row.get(key), (int, float))])
                         for key in first if key not in KNOWN and isinstance(first[key], (int, float))}
        self.more_is_better = False
        for counter, unit in SUBJECTS:
            if counter in self.counters:
                self.unit, self.values = unit, [row[counter] for row in rows if counter in row]
                break
        else:
            if "items_per_second" in first:
                self.unit, self.more_is_better = "/s", True
                self.values = [row["items_per_second"] for row in rows if "items_per_second" in row]
            else:
                self.unit = "ns"
                # By the clock that the benchmark goes by, as its items per second do: the processor's unless it says so.
                clock = "real_time" if re.search("/(real|manual)_time", self.full_name) else "cpu_time"
                self.values = [row[clock] * TO_NS[row.get("time_unit", "ns")] for row in rows]
        self.median, self.noise = median(self.values), noise(self.values)
        parts = self.name.split("/")
        self.words = [part for part in parts if ":" not in part]
        self.arguments = {part for part in parts if ":" in part}

    def argument(self, key):
        for part in self.arguments:
            if part.startswith(key + ":"):
                return int(part.partition(":")[2])
        return None

    def text(self):
        return number(self.median, self.unit)

    def speed_beside(self, other):
        """Above 1: this one is better. None where one of them is nothing, which has no ratio."""
        if not self.median or not other:
            return None
        return self.median / other if self.more_is_better else other / self.median

    def allocations(self):
        for name in ALLOCATIONS:
            if name in self.counters:
                return self.counters[name]
        return None

    def further(self):
        shown = {counter for counter, _ in SUBJECTS[:1]} | set(ALLOCATIONS) | {"original_ns"}
        return ", ".join("%s %s" % (key, number(value, "")) for key, value in sorted(self.counters.items())
                         if key not in shown)


class Figures:
    """All of a run, by program and name."""

    def __init__(self, result):
        self.all = {}
        for program in result["programs"]:
            rows = {}
            for row in program["rows"]:
                if not row.get("error_occurred") and not row.get("skipped"):
                    rows.setdefault(plain(row), []).append(row)
            for same in rows.values():
                figure = Figure(program["name"], same)
                if figure.values:
                    self.all[figure.program, figure.name] = figure

    def of(self, program):
        return [figure for figure in self.all.values() if figure.program == program]

    def find(self, program, *words, **arguments):
        """The first that has these words, in this order, and these arguments."""
        for figure in self.of(program):
            if figure.words == list(words) and all(figure.argument(key) == value for key, value in arguments.items()):
                return figure
        return None

    def baselines(self, figure):
        """Pairs of a name and the value of a baseline in the same run."""
        found = []
        if "locked_p50" in figure.counters:
            found.append(("locked_bus", figure.counters["locked_p50"]))
        for other in self.of(figure.program):
            if other is figure or other.unit != figure.unit:
                continue
            differing = [(a, b) for a, b in zip(figure.words, other.words) if a != b]
            fits = figure.arguments <= other.arguments or other.arguments <= figure.arguments
            same = len(figure.words) == len(other.words) and len(differing) == 1
            if same and fits and differing[0][1] in BASELINES:
                found.append((differing[0][1], other.median))
            elif other.words == ["bare"] and (figure.words[-1] == "middleware" or figure.words[0] in WRAPPERS):
                found.append(("bare", other.median))
        return found


def is_baseline(figure):
    return any(word in BASELINES + ("bare",) for word in figure.words)


def head_comment(source):
    """The comment at the head of a benchmark: its question, and what one iteration is."""
    source = re.sub("^#!.*\n", "", source)
    mark = source[:2] if source.startswith("//") else "# "
    lines_of_it = []
    for line in source.splitlines():
        if not line.startswith(mark.strip()):
            break
        lines_of_it.append(line[len(mark):].strip())
    text = "\n".join(lines_of_it)
    return re.sub(r"\n\n *(\w+_bench --benchmark|bench/\w+\.sh).*", "", text, flags=re.S).strip()


def load(path):
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    if not isinstance(result, dict) or result.get("format") != 1 or not isinstance(result.get("programs"), list):
        raise ValueError("not a report.json of bench/run")
    return result


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def save(result, path):
    write_text(path, json.dumps(result, indent=1) + "\n")


def beside(figures, figure):
    """The speed beside each baseline, in words."""
    return ", ".join(speed(figure, value, name) for name, value in figures.baselines(figure))


def speed(figure, value, name):
    ratio = figure.speed_beside(value)
    return "%s: %s" % (name, number(value, figure.unit)) if ratio is None else "%.2f× %s" % (ratio, name)


def verdict(figure, old):
    """How the figure stands to an earlier one; a difference within the noise of both is none."""
    ratio = figure.speed_beside(old.median)
    if ratio is None:
        return "was %s, now %s" % (old.text(), figure.text())
    limit = max(0.03, 2 * (figure.noise + old.noise))
    word = "same, within noise" if abs(ratio - 1) <= limit else "faster" if ratio > 1 else "SLOWER"
    return "was %s, now %.2f× (noise ±%.0f %%): %s" % (old.text(), ratio, 100 * (figure.noise + old.noise), word)


def compare(against, figure):
    if against is None:
        return ""
    old = against.all.get((figure.program, figure.name))
    return "not in the old report" if old is None or old.unit != figure.unit else verdict(figure, old)


def about_old(result, old):
    """What the old report is, and why its figures may not be comparable."""
    if not old:
        return []
    get = old["machine"].get
    told = ["The old report is of %s, gossip %s, on %s, %s." % (get("date", "?"), get("gossip", "?"), get("processor", "?"),
                                                               get("compiler", "?"))]
    for key in ("processor", "processors", "compiler", "flags"):
        if get(key) != result["machine"].get(key):
            told.append("WARNING: not comparable: %s was %s, is %s." % (key, get(key, "?"), result["machine"].get(key, "?")))
    if bool(old.get("quick")) != bool(result.get("quick")):
        told.append("WARNING: not comparable: one of the two was a quick run.")
    if busy(old):
        told.append("WARNING: when the old report was made: " + busy(old))
    return told


def original_of(figure):
    value = figure.counters.get("original_ns")
    return "%s (%s)" % (speed(figure, value, "original"), number(value, "ns")) if value else ""


def repetitions(result):
    """How many, and what was measured more or less often."""
    different = ["%d of %s" % (program["repetitions"], program["name"]) for program in result["programs"]
               if program.get("repetitions", result["repetitions"]) != result["repetitions"]]
    return "%d%s" % (result["repetitions"], " (%s)" % ", ".join(different) if different else "")


def table(result, old=None):
    """For the terminal."""
    figures, against = Figures(result), Figures(old) if old else None
    out = []
    for program in result["programs"]:
        rows = figures.of(program["name"])
        if rows:
            out.append("\n%s: %s" % (program["name"], program["about"].partition("?")[0].replace("\n", " ") + "?"))
        width = max([len(figure.name) for figure in rows] or [0])
        for figure in rows:
            notes = [beside(figures, figure), original_of(figure)]
            if figure.allocations() is not None:
                notes.append("%s allocations" % number(figure.allocations(), ""))
            notes.append(compare(against, figure))
            out.append("  %-*s  %12s ±%3.0f %%  %s" % (width, figure.name, figure.text(), 100 * figure.noise,
                                                     "; ".join(note for note in notes if note)))
    out.append("\nMedians of %s, ± spread. `1.90× ring`: 1.9 times as good as ring in this run." % repetitions(result))
    for name, what in sorted(result.get("peers", {}).items()):
        out.append("peer %s: %s" % (name, what))
    out += about_old(result, old)
    out += [busy(result)] if busy(result) else []
    out += ["left out: " + text for text in result.get("left_out", [])]
    out += ["FAILED: " + text for text in result.get("failures", [])]
    return "\n".join(out) + "\n"


# ---- the page

STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--dim:#59636e;--line:#d1d9e0;--alt:#f6f8fa;
--s0:#0b62c4;--s1:#b35900;--s2:#1a7f4b;--s3:#8a3ffc;--s4:#b3261e;--s5:#5d6670}
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--dim:#9aa4af;--line:#3d444d;--alt:#161b22;
--s0:#6cb0ff;--s1:#f0a050;--s2:#57c98a;--s3:#c3a0ff;--s4:#ff8a80;--s5:#aab4bf}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:76rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.7rem;margin:.5rem 0}h2{font-size:1.3rem;margin:2rem 0 .5rem}h3{font-size:1.05rem;margin:1.5rem 0 .3rem}
.dim,figcaption{color:var(--dim)}figcaption{font-size:.9rem}
.plots{columns:24rem;column-gap:1rem}
figure{margin:0 0 1rem;break-inside:avoid;padding:.8rem;border:1px solid var(--line);border-radius:.5rem;
background:var(--alt)}
figure h3{margin:0}svg{width:100%;height:auto;display:block;font-family:inherit}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;width:100%}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:.9rem}dt{color:var(--dim)}dd{margin:0;
overflow-wrap:anywhere}code{font-size:.9em}.bad{color:var(--s4);font-weight:600}pre{white-space:pre-wrap;margin:.3rem 0;
font:inherit;font-size:.9rem;color:var(--dim)}
@media(max-width:34rem){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
"""


def short_bytes(size):
    return "%d KiB" % (size // 1024) if size >= 1024 else "%d B" % size


def count(word, many):
    return "%d %s%s" % (many, word, "s"[: many > 1])


def throughput_plots(figures):
    for buffer in (1024, 65536):
        groups = []
        for publishers in (1, 2, 4):
            for workers in (1, 2, 4):
                found = [(name, figures.find("throughput", name, buffer=buffer, publishers=publishers, workers=workers,
                                             subscribers=1))
                         for name in ("bus", "ring", "ring_of_120_bytes", "locked_bus")]
                groups.append(("%s, %s" % (count("publisher", publishers), count("worker", workers)), found))
        yield bars("Delivered by publishers × workers, buffer %s" % format(buffer, ","), groups,
                   "Events per second from publish to the processor's return, one subscriber, 48 bytes. More is "
                   "better. ring: a bare textbook queue of the data, or of as many bytes as an event has; locked_bus: mutex, "
                   "condition variables, deque.")


def latency_plots(figures):
    groups = []
    for workers in (1, 2, 4):
        figure = figures.find("latency", "sleeping", workers=workers)
        if figure:
            get = figure.counters.get
            groups.append(("sleeping, " + count("worker", workers),
                           [("bus p50", get("bus_p50")), ("bus p99", get("bus_p99")), ("locked p50", get("locked_p50")),
                            ("locked p99", get("locked_p99"))]))
    for name in ("bus", "ring"):
        figure = figures.find("latency", "spinning", name)
        if figure:
            groups.append(("spinning " + name, [(part, figure.counters.get(part)) for part in ("p50", "p99")]))
    yield bars("Latency from an idle bus, percentiles", groups,
               "From publish to the processor's first instruction; logarithmic. Less is better.", unit="µs", log=True)


PERCENTILES = ("p50", "p99", "p99.9", "max")


def percentiles(figure):
    return [(part, figure.counters.get(part)) for part in PERCENTILES]


def open_loop_plots(figures):
    groups = []
    for rate in (1_000, 100_000, 1_000_000):
        for name in ("bus", "locked_bus"):
            figure = figures.find("open_loop", "memory", name, rate=rate)
            if figure:
                groups.append(("%s/s, %s" % (format(rate, ","), name.replace("_", " ")), percentiles(figure)))
    yield bars("Latency under a constant rate", groups, "From when an event was due to the processor's first "
               "instruction, open loop, so that what a pause delayed counts in full; logarithmic. Less is better.",
               unit="µs", log=True)
    groups = []
    for mode, words in (("pub_sub", "Pub/Sub"), ("streams", "Streams")):
        for name in ("bus", "hiredis_alone"):
            figure = figures.find("redis_latency", mode, name)
            if figure:
                groups.append(("%s, %s" % (words, name.replace("_", " ")), percentiles(figure)))
    yield bars("Latency through Redis, 1,000 events a second", groups, "From when an event was due in one bus to the "
               "processor's first instruction in another, open loop; logarithmic. Less is better.", unit="µs", log=True)


def traffic_plots(figures):
    groups = []
    for figure in figures.of("traffic"):
        if figure.words[-1] == "bus":
            topics = figure.argument("topics")
            words = " ".join(figure.words[:-1]).replace("_", " ")
            other = next((each for each in figures.of("traffic") if each.arguments == figure.arguments
                          and each.words == figure.words[:-1] + ["locked_bus"]), None)
            groups.append((words if topics is None else "%s topics" % format(topics, ","),
                           [("bus", figure), ("locked_bus", other)]))
    yield bars("Other traffic", groups, "Events delivered per second; what each is stands in the table. More is "
               "better.")


def provider_plots(figures):
    groups = [("in memory, 1 publisher, 1 worker", [("bus", figures.find(
        "throughput", "bus", buffer=65536, publishers=1, workers=1, subscribers=1) or figures.find(
            "throughput", "bus", buffer=1024, publishers=1, workers=1, subscribers=1))])]
    for mode, words in (("pub_sub", "Redis Pub/Sub"), ("streams", "Redis Streams, acknowledged")):
        groups.append((words, [(name.replace("_codec", " codec").replace("_", " "), figures.find("redis", mode, name))
                               for name in ("hiredis_alone", "raw_codec", "fast_codec", "default_codec")]))
    if any(figure for _, found in groups[1:] for _, figure in found):
        yield bars("Providers", groups, "Events per second, handled; logarithmic. More is better. The server has to "
                   "share the machine's processors. hiredis alone: the client library without a bus.", log=True)


def combinator_plots(figures):
    bare = figures.find("middleware", "bare")
    groups = []
    if bare:
        found = [(" ".join(figure.words[:-1]).replace("_", " "), max(0.0, figure.median - bare.median))
                 for figure in figures.of("middleware") if figure.words[-1] == "middleware"]
        groups.append(("middleware, beyond the bare processor's %s" % bare.text(),
                       sorted(found, key=lambda pair: pair[1])))
    found = [(" ".join(figure.words[:-1]).replace("_", " "), figure.median) for figure in figures.of("filter")
             if figure.words[-1] == "filter"]
    groups.append(("filters, one question", sorted(found, key=lambda pair: pair[1])))
    yield bars("Cost of each combinator", groups, "Nanoseconds for each event that succeeds. Less is better.",
               unit="ns", one_colour=True)


def scaling_plots(figures):
    for key, title, caption in (
            ("subscribers", "Scaling with subscribers", "Events per second, each handled by every subscriber."),
            ("payload", "Scaling with the size of the data", "Events per second by bytes of data; beyond 64 bytes an "
             "event is one allocation."),
            ("batch", "Scaling with the batch's size", "Events per second through a batch of that size."),
    ):
        series = {}
        for figure in figures.of("scaling"):
            at = figure.argument(key)
            if at is not None and figure.words[0] == key:
                series.setdefault(" ".join(figure.words[1:]).replace("_", " "), []).append((at, figure.median))
        yield lines(title, series, caption + " Both axes logarithmic. More is better.", key,
                    short_bytes if key == "payload" else str)


def queue_plots(figures):
    groups = {}
    for program in ("peers", "queue"):
        for figure in figures.of(program):
            threads = figure.argument("threads")
            if figure.words[0] == "handoff" and threads and (len(figure.words) < 3 or figure.words[2] == "64"):
                groups.setdefault((program, threads), []).append((figure.words[1].replace("_", " "), figure))
        if groups:
            break
    yield bars("Queues", [("%s, %s" % (count("producer", threads // 2), count("consumer", threads // 2)), found)
                          for (_, threads), found in sorted(groups.items())],
               "Values of 64 bytes handed over per second, capacity 1,024. More is better.")
    found = {}
    for figure in figures.of("peers"):
        if figure.words[0] == "sync" and figure.argument("subscribers"):
            found.setdefault(figure.argument("subscribers"), []).append((figure.words[1].replace("_", " "), figure))
    yield bars("Synchronous publish", [(count("subscriber", many), pairs) for many, pairs in sorted(found.items())],
               "Nanoseconds for a publish and all its processors. Less is better.", unit="ns")


def original_plots(figures):
    groups = []
    for program, prefix in (("original", ""), ("original_redis", "Redis: ")):
        for figure in figures.of(program):
            original = figure.counters.get("original_ns")
            if original:
                groups.append((prefix + figure.name, [("gossip", figure.median), ("original", original)]))
    yield bars("Beside the Go original", groups, "Nanoseconds an iteration; logarithmic. Less is better. The original "
               "ran on a machine of the same kind, not in this run; what is counted differs, see the table.",
               unit="ns", log=True)


def program_section(program, figures, against):
    rows = figures.of(program["name"])
    if not rows:
        return ""
    allocating = any(figure.allocations() is not None for figure in rows)
    head = ["benchmark", "median", "±", "beside its baselines (above 1: better)"]
    head += ["allocations"] * allocating + ["also"] + ["beside the old report"] * (against is not None)
    out = ["<h3 id=\"%s\">%s</h3>\n<pre>%s</pre>" % (escape(program["name"]), escape(program["name"]),
                                                  escape(program["about"])),
           "<div class=\"wide\"><table><thead><tr>%s</tr></thead><tbody>" % "".join(
               "<th scope=\"col\"%s>%s</th>" % (" class=\"n\"" if name in ("median", "±", "allocations") else "",
                                               escape(name)) for name in head)]
    for figure in rows:
        cells = ["<td><code>%s</code></td>" % escape(figure.name).replace("/", "/<wbr>"),
                 "<td class=\"n\">%s</td>" % escape(figure.text()),
                 "<td class=\"n\">%.0f %%</td>" % (100 * figure.noise)]
        notes = [note for note in (beside(figures, figure), original_of(figure)) if note]
        cells.append("<td>%s</td>" % escape("; ".join(notes) or ("is a baseline" if is_baseline(figure) else "")))
        if allocating:
            many = figure.allocations()
            cells.append("<td class=\"n\">%s</td>" % ("" if many is None else number(many, "")))
        cells.append("<td>%s</td>" % escape("; ".join(part for part in (figure.further(), figure.label) if part)))
        if against is not None:
            text = compare(against, figure)
            cells.append("<td%s>%s</td>" % (" class=\"bad\"" if text.endswith("SLOWER") else "", escape(text)))
        out.append("<tr>%s</tr>" % "".join(cells))
    return "\n".join(out) + "\n</tbody></table></div>\n"


def others(result):
    """Processors that others kept busy: the median over every repetition that looked; None if none did."""
    seen = [row["others"] for program in result["programs"] for row in program["rows"]
            if isinstance(row.get("others"), (int, float))]
    return median(seen) if seen else None


def busy(result):
    """A warning, if the machine had other things to do while it measured."""
    seen = others(result)
    if seen is None or seen <= result.get("quiet", QUIET):
        return ""
    return ("The machine was busy: others used %.2f processors meanwhile, in the median, and %.2f at most are quiet. None "
            "of these figures should be quoted." % (seen, result.get("quiet", QUIET)))


def html(result, old=None):
    figures, against = Figures(result), Figures(old) if old else None
    machine = {key: str(value) for key, value in result["machine"].items() if str(value)}
    machine["repetitions"] = "%s of each, in random order%s" % (
        repetitions(result), "; a quick run: to look, not to quote" if result.get("quick") else "")
    if result.get("filter"):
        machine["filter"] = result["filter"]
    if others(result) is not None:
        machine["others meanwhile"] = "%.2f processors, in the median" % others(result)
    for name, what in sorted(result.get("peers", {}).items()):
        machine[name] = what
    out = ["<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>gossip, measured</title>\n"
           "<style>%s</style>\n</head>\n<body>\n<main>\n<h1>gossip, measured</h1>" % STYLE,
           "<p>Medians of one run. Every figure stands beside a baseline that ran in the same minutes; on a machine "
           "that others use, too, trust the ratios more than the figures. To repeat it: <code>bench/run</code></p>",
           "<dl>%s</dl>" % "".join("<dt>%s</dt><dd>%s</dd>" % (escape(key), escape(value))
                                   for key, value in machine.items())]
    if busy(result):
        out.append("<p class=\"bad\">%s</p>" % escape(busy(result)))
    for text in about_old(result, old):
        out.append("<p class=\"%s\">%s</p>" % ("bad" if text.startswith("WARNING") else "dim", escape(text)))
    for text in result.get("failures", []):
        out.append("<p class=\"bad\">Failed: %s</p>" % escape(text))
    for text in result.get("left_out", []):
        out.append("<p class=\"dim\">Left out: %s</p>" % escape(text))
    plots = [plot for make in (throughput_plots, latency_plots, open_loop_plots, provider_plots, combinator_plots, scaling_plots,
                               traffic_plots, queue_plots, original_plots) for plot in make(figures) if plot]
    if plots:
        out.append("<h2>Plots</h2>\n<p class=\"dim\">Bars are medians; the thin line reaches from the least to "
                   "the most of the repetitions.</p>\n<div class=\"plots\">%s</div>" % "\n".join(plots))
    out.append("<h2>All figures</h2>\n<p class=\"dim\">What one thread does alone is timed by the processor's clock, "
               "what several do together by the one on the wall. ± is the spread of the repetitions: 1.48 times the median "
               "distance from the median. <code>others</code>: processors that the rest of the machine kept busy "
               "meanwhile.</p>")
    out += [program_section(program, figures, against) for program in result["programs"]]
    out.append("</main>\n</body>\n</html>\n")
    return "\n".join(out)


# ---- the README

BEGIN, END = "<!-- measured: begin; written by bench/run --readme -->", "<!-- measured: end -->"


def each_ns(figure):
    """What one item, or else one iteration, takes."""
    if figure is None or not figure.median:
        return None
    return 1e9 / figure.median if figure.more_is_better else figure.median


def nanoseconds(*values):
    """In one cell; "" where nothing was measured."""
    if all(value is None for value in values):
        return ""
    return "; ".join("–" if value is None else number(value, "ns") for value in values)


def beyond(figure, bare):
    """What is added to the bare one; less than nothing, by the noise of both, is 0."""
    return None if figure is None or bare is None else max(0.0, each_ns(figure) - each_ns(bare))


def processor_rows(figures):
    """What stands around a processor, beside what one would write by hand."""

    def ns(program, *words):
        return each_ns(figures.find(program, *words))

    bare = figures.find("middleware", "bare")

    def added(kind, *names):
        return [beyond(figures.find("middleware", name, kind), bare) for name in names]

    def two(words, ours, by_hand):
        return (words, nanoseconds(*ours), nanoseconds(*by_hand))

    def timer(words, action, pending):
        return two(words, [ns("schedule", action, "bus", str(many)) for many in pending],
                   [ns("schedule", action, "hand", str(many)) for many in pending])

    policies = ("recovery", "retry", "logging_nothing")
    succeeds = figures.find("failure", "publish_and_poll", "succeeds")
    rows = [
        two("a metadata filter; the AND of two", [ns("filter", name, "filter") for name in ("metadata", "and_of_two")],
            [ns("filter", name, "hand") for name in ("metadata", "and_of_two")]),
        two("`recovery`; `retry`; `logging` of failures only: added to a success", added("middleware", *policies),
            added("hand", *policies)),
        two("`timeout`, two readings of the clock: added", added("middleware", "timeout"), added("hand", "timeout")),
        two("a processor that returns a new error; a ready-made one",
            [ns("failure", "returned", "processor"), ns("failure", "returned", "processor_ready_made")],
            [ns("failure", "returned", "hand")]),
        two("a processor that throws", [ns("failure", "thrown", "processor")], [ns("failure", "thrown", "hand")]),
        two("added by a returned error to an event from its publish to its end on the bus",
            [beyond(figures.find("failure", "publish_and_poll", "returned"), succeeds)], []),
        timer("`publish_after` and `cancel`, no other pending; 100,000 others", "schedule_and_cancel", (0, 100_000)),
        timer("the same until it has come due and run, 100,000 others", "schedule_and_run", (100_000,)),
    ]
    return ["| %s | %s | %s |" % row for row in rows if row[1]]


def readme_section(result):
    figures = Figures(result)
    machine = result["machine"]
    out = ["## What it costs", "",
           "Medians of %s, measured on %s with `bench/run`, on %s (%s processors), %s, `%s`." % (
               repetitions(result), machine.get("date", "?").partition(" ")[0], machine.get("processor", "?"),
               machine.get("processors", "?"), machine.get("compiler", "?"), machine.get("flags", "?")),
           "Every figure has its baseline from the same run; the ratio is what carries over to another machine.%s" % (
               "" if others(result) is None else " The rest\nof the machine, which may not be ours alone, kept %.2f "
               "processors busy meanwhile, in the median." % others(result)), ""]
    rows = []
    rings = ("ring", "ring_of_120_bytes")
    for publishers, workers in ((1, 1), (1, 2), (2, 2), (4, 4)):
        setting = {"buffer": 1024, "publishers": publishers, "workers": workers, "subscribers": 1}
        found = [figures.find("throughput", name, **setting) for name in ("bus", "locked_bus", *rings)]
        if found[0]:
            rows.append("| delivered, %s, %s | %s |" % (
                count("publisher", publishers), count("worker", workers),
                " | ".join(figure.text() if figure else "" for figure in found)))
    found = [figures.find("publish", "publish", "bus", workers=0, buffer=1024)]
    found += [figures.find("publish", "publish", name, buffer=1024) for name in ("locked_bus", "ring")]
    if all(found):
        rows.append("| `publish` | %s | |" % " | ".join(figure.text() for figure in found))
    latency = figures.find("latency", "sleeping", workers=1)
    if latency:
        get = latency.counters.get
        rows.append("| idle to processor, p50 / p99 | %s / %s µs | %s / %s µs | | |" % tuple(
            number(get(key, 0), "") for key in ("bus_p50", "bus_p99", "locked_p50", "locked_p99")))
    if rows:
        out += ["| one process, by the clock on the wall | gossip | mutex, condition variables, deque | a bare ring of the "
                "data | of 120 bytes, as an event has |", "| --- | --- | --- | --- | --- |", *rows, ""]
    rows = []
    for mode, title in (("pub_sub", "Pub/Sub"), ("streams", "Streams, acknowledged")):
        found = [figures.find("redis", mode, name)
                 for name in ("default_codec", "fast_codec", "raw_codec", "hiredis_alone")]
        if all(found):
            rows.append("| %s | %s |" % (title, " | ".join(figure.text() for figure in found)))
    for mode, title in (("pub_sub", "Pub/Sub"), ("streams", "Streams")):
        found = [figures.find("redis_latency", mode, name) for name in ("bus", "hiredis_alone")]
        if all(found):
            rows.append("| %s, an event each millisecond, p50 / p99 | | | %s |" % (title, " | ".join(
                "%s / %s µs" % tuple(number(figure.counters.get(key, 0), "") for key in ("p50", "p99"))
                for figure in found)))
    if rows:
        out += ["| through Redis, on a Unix socket | default codec | fast codec | raw codec | hiredis alone |",
                "| --- | --- | --- | --- | --- |", *rows, ""]
    rows = processor_rows(figures)
    if rows:
        out += ["| around a processor, by the processor's clock | gossip | by hand |", "| --- | --- | --- |", *rows, "",
                "By hand is what one would write without the library, for a new error a string, for timers a multimap and "
                "a mutex.", ""]
    out += ["To repeat it: `bench/run` measures all and writes `build/bench/report.html`, `bench/run --readme`",
            "rewrites this section, and `bench/run --against build/bench/report.json` tells what has changed, beside the noise."]
    return "\n".join(out)


def around_section(path):
    """What stands before and after the section."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ValueError("%s has no lines '%s' and '%s'" % (path, BEGIN, END))
    return text[: begin + len(BEGIN)], text[end:]


def rewrite_readme(path, result):
    before, after = around_section(path)
    write_text(path, before + "\n\n" + readme_section(result) + "\n\n" + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report")
    parser.add_argument("--html")
    parser.add_argument("--against")
    parser.add_argument("--readme")
    options = parser.parse_args()
    try:
        result = load(options.report)
        old = load(options.against) if options.against else None
        if options.readme:
            rewrite_readme(options.readme, result)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.html:
        write_text(options.html, html(result, old))
    sys.stdout.write(table(result, old))
    return 0


if __name__ == "__main__":
    sys.exit(main())
