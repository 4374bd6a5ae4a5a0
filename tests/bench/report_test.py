#!/usr/bin/env python3
"""The report of bench/run, from figures made up here: report_test.py <folder of the project>."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import xml.dom.minidom
from html.parser import HTMLParser

ROOT = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "."


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def row(name, repetition, **values):
    return {"name": name, "run_name": name, "run_type": "iteration", "repetition_index": repetition, "iterations": 1,
            "real_time": 50.0, "cpu_time": 50.0, "time_unit": "ns", **values}


def delivered(name, rates):
    name += "/buffer:1024/publishers:1/workers:1/subscribers:1/iterations:1/manual_time"
    return [row(name, i, items_per_second=rate, others=0.1) for i, rate in enumerate(rates)]


def result(bus=(40e6, 41e6, 42e6)):
    return {"format": 1,
            "machine": {"date": "2024-01-02 03:04 UTC", "processor": "<Imaginary> & Sons", "processors": 2},
            "peers": {"oneTBB": "not found; Debian has it as libtbb-dev"}, "quick": False, "filter": "",
            "repetitions": 3,
            "left_out": ["redis: there is no redis-server here"], "failures": [],
            "programs": [
                {"name": "throughput", "about": "How many arrive?",
                 "rows": delivered("bus", bus) + delivered("locked_bus", (2e6, 2e6, 2e6))},
                {"name": "middleware", "about": "What does it add?", "rows": [
                    row("bare", 0, cpu_time=2.0), row("retry/middleware", 0, cpu_time=5.0),
                    row("broken/middleware", 0, error_occurred=True, error_message="a run has failed")]},
                {"name": "original", "about": "And the original?",
                 "rows": [row("subscribe/gossip", 0, cpu_time=71.0, original_ns=355.0, allocations=0.0)]}]}


class Page(HTMLParser):
    """Complains about tags that do not close in their order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "wbr", "rect", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run_script(self, script, *arguments):
        return subprocess.run([sys.executable, os.path.join(ROOT, "bench", script), *arguments], capture_output=True,
                              text=True, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"}, check=False)

    def report(self, content, *arguments):
        done = self.run_script("report.py", self.write("report.json", content), "--html", self.path("page.html"),
                               *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_table_has_medians_and_the_baseline_of_each(self):
        table = self.report(result())

        self.assertRegex(table, r"bus/buffer:1024/publishers:1/workers:1/subscribers:1 +41\.0 M/s ± +4 % +20\.50× lock")
        self.assertRegex(table, r"retry/middleware +5\.00 ns .*0\.40× bare")
        self.assertRegex(table, r"subscribe/gossip .*5\.00× original \(355 ns\); 0 allocations")
        self.assertIn("left out: redis", table)
        self.assertNotIn("broken/middleware", table)

    def test_a_benchmark_of_one_thread_is_timed_by_the_processor_and_others_by_the_wall(self):
        timed = result()
        timed["programs"] = [{"name": "clocks", "about": "Which?", "rows": [
            row(name, 0, cpu_time=3.0, real_time=8.0) for name in ("alone", "many/real_time/threads:2", "self/manual_time")]}]

        table = self.report(timed)

        self.assertRegex(table, r"alone +3\.00 ns")
        self.assertRegex(table, r"many/threads:2 +8\.00 ns")
        self.assertRegex(table, r"self +8\.00 ns")

    def test_what_took_nothing_has_no_ratio(self):
        idle = result()
        idle["programs"] = [{"name": "footprint", "about": "What?", "rows": [
            row("idle/bus", 0, cpu_us=0.0), row("idle/locked_bus", 0, cpu_us=9.0)]}]

        table = self.report(idle, "--against", self.write("old.json", idle))

        self.assertRegex(table, r"idle/bus +0 µs .*locked_bus: 9\.00 µs; was 0 µs, now 0 µs")
        self.assertNotIn("0.00×", table)

    def test_the_page_is_whole_needs_nothing_from_elsewhere_and_has_its_plots(self):
        self.report(result())

        text = self.read("page.html")
        page = Page(text)
        self.assertNotIn("script", [tag for tag, _ in page.tags])
        self.assertNotRegex(text, r"(?i)https?://|@import|url\(")
        self.assertIn("prefers-color-scheme:dark", text)
        self.assertIn("width=device-width", text)
        self.assertIn("&lt;Imaginary&gt; &amp; Sons", text)
        self.assertIn("libtbb-dev", text)
        titles = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
        self.assertIn("Delivered by publishers × workers, buffer 1,024", titles)
        self.assertIn("Cost of each combinator", titles)
        self.assertNotIn("Latency from an idle bus, percentiles", titles)
        for svg in text.split("<svg")[1:]:
            xml.dom.minidom.parseString("<svg" + svg.partition("</svg>")[0] + "</svg>")

    def test_a_change_beyond_the_noise_is_told_from_one_within(self):
        old = self.write("old.json", result(bus=(80e6, 81e6, 82e6)))

        slower = self.report(result(), "--against", old)
        same = self.report(result(bus=(80e6, 82e6, 84e6)), "--against", old)

        self.assertRegex(slower, r"bus/.*was 81\.0 M/s, now 0\.51× .*: SLOWER")
        self.assertRegex(same, r"bus/.*now 1\.01× .*: same, within noise")

    def test_an_old_report_says_whose_it_is_and_what_differs(self):
        before = result()
        before["machine"].update(processor="Another", gossip="0.0.9 (abcdef1)")
        before["quick"] = True

        compared = self.report(result(), "--against", self.write("old.json", before))
        same = self.report(result(), "--against", self.write("old.json", result()))

        self.assertIn("The old report is of 2024-01-02 03:04 UTC, gossip 0.0.9 (abcdef1), on Another", compared)
        self.assertRegex(compared, r"WARNING: not comparable: processor was Another, is <Imaginary> & Sons")
        self.assertIn("one of the two was a quick run", compared)
        self.assertNotIn("WARNING", same)

    def test_the_thin_line_of_a_bar_reaches_to_its_most(self):
        self.report(result(bus=(40e6, 41e6, 80e6)))

        plot = self.read("page.html").partition("buffer 1,024</h3>")[2].partition("</svg>")[0]
        reach = float(re.search(r'<line x1="[\d.]+" x2="([\d.]+)"', plot).group(1))
        bar = re.search(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', plot)
        left, width = float(bar.group(1)), float(bar.group(2))
        self.assertAlmostEqual((reach - left) / width, 80 / 41, places=1)

    def test_figures_from_a_busy_machine_are_marked(self):
        crowded = result()
        for each in crowded["programs"][0]["rows"]:
            each["others"] = 1.2

        self.assertRegex(self.report(crowded), r"The machine was busy: others used 1\.20 processors")
        self.assertIn("The machine was busy", self.read("page.html"))

    def test_a_high_load_before_is_no_busy_machine(self):
        built_before = result()
        built_before["machine"]["load before"] = "7.50 1.00 1.00"
        built_before["programs"][0]["rows"][0]["others"] = 1.2

        self.assertNotIn("The machine was busy", self.report(built_before))
        self.assertRegex(self.read("page.html"), r"others meanwhile</dt><dd>0\.10 processors")

    def test_no_figures_make_a_page_too(self):
        empty = result()
        empty["programs"] = []
        self.report(empty)

        Page(self.read("page.html"))

    def test_the_readme_has_its_section_rewritten_and_nothing_else(self):
        begin, end = "<!-- measured: begin; written by bench/run --readme -->", "<!-- measured: end -->"
        readme = self.write("README.md", "above\n" + begin + "\nold\n" + end + "\nbelow\n")
        with_ring = result()
        with_ring["programs"][0]["rows"] += delivered("ring", (50e6,))

        self.report(with_ring, "--readme", readme)
        once = self.read("README.md")
        self.report(with_ring, "--readme", readme)

        self.assertTrue(once.startswith("above\n" + begin) and once.endswith(end + "\nbelow\n"))
        self.assertNotIn("old", once)
        self.assertIn("2024-01-02", once)
        self.assertIn("<Imaginary> & Sons", once)
        self.assertIn("kept 0.10 processors busy meanwhile", once)
        self.assertRegex(once, r"1 publisher, 1 worker \| 41\.0 M/s \| 2\.00 M/s \| 50\.0 M/s \| +\|")
        self.assertEqual(once, self.read("README.md"))

    def test_the_readme_has_what_stands_around_a_processor_beside_what_is_written_by_hand(self):
        around = result()
        around["programs"] = [
            {"name": "middleware", "about": "?", "rows": [
                row(name, 0, cpu_time=time_) for name, time_ in (
                    ("bare", 2.0), ("recovery/middleware", 2.5), ("recovery/hand", 3.0), ("retry/middleware", 1.9))]},
            {"name": "failure", "about": "?", "rows": [
                row("publish_and_poll/succeeds", 0, cpu_time=50.0), row("publish_and_poll/returned", 0, cpu_time=220.0)]},
            {"name": "schedule", "about": "?", "rows": [
                row("schedule_and_run/bus/100000", 0, items_per_second=1e6),
                row("schedule_and_run/hand/100000", 0, items_per_second=5e5)]}]
        readme = self.write("README.md", "<!-- measured: begin; written by bench/run --readme -->\n<!-- measured: end -->")

        self.report(around, "--readme", readme)

        text = self.read("README.md")
        self.assertRegex(text, r"`recovery`.*added to a success \| 0\.50 ns; 0 ns; – \| 1\.00 ns; –; – \|")
        self.assertRegex(text, r"added by a returned error.* \| 170 ns \|  \|")
        self.assertRegex(text, r"come due and run, 100,000 others \| 1\.00 µs \| 2\.00 µs \|")
        self.assertNotIn("metadata filter", text)
        self.assertNotIn("one process", text)

    def test_what_is_no_report_is_refused(self):
        done = self.run_script("report.py", self.write("report.json", {"benchmarks": []}))

        self.assertEqual(done.returncode, 2)
        self.assertIn("not a report.json of bench/run", done.stderr)

    def fake_program(self, name, names, status=0, others=0.1):
        """A benchmark that measures nothing: it reports what it was asked for, in reverse."""
        self.write("root/bench/%s.cpp" % name, "// What is it? An invention.\n\nint main() {}\n")
        self.markers()
        path = self.write("build/bench/" + name, """#!%s
import json, os, re, sys
names = %r
if "GOSSIP_BENCH_QUICK" in os.environ:
    names = [n.replace("iterations:1000", "iterations:250") for n in names]
arguments = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
if "benchmark_list_tests" in arguments:
    print("\\n".join(names))
    sys.exit()
rows = [{"name": n, "run_name": n, "run_type": "iteration", "real_time": 7, "cpu_time": 7, "time_unit": "ns", "others": %r}
        for n in reversed(names) if re.search(arguments["benchmark_filter"], n)]
with open(arguments["benchmark_out"], "w") as file:
    json.dump({"benchmarks": rows * int(arguments["benchmark_repetitions"])}, file)
sys.exit(%d)
""" % (sys.executable, names, others, status))
        os.chmod(path, 0o755)

    def measure(self, *arguments):
        return self.run_script("measure.py", "--root", self.path("root"), "--build", self.path("build"), *arguments)

    def test_measuring_runs_what_the_filter_takes_and_keeps_the_raw_figures(self):
        self.fake_program("first_bench", ["a/x:1", "a+b (c)", "other"])
        self.fake_program("second_bench", ["b"])

        done = self.measure("--filter", "^first/a", "--repetitions", "2")

        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        kept = json.loads(self.read("build/report.json"))
        self.assertEqual([program["name"] for program in kept["programs"]], ["first"])
        self.assertEqual(kept["programs"][0]["about"], "What is it? An invention.")
        self.assertEqual([r["name"] for r in kept["programs"][0]["rows"]], ["a/x:1"] * 2 + ["a+b (c)"] * 2)
        self.assertIn("7.00 ns", done.stdout)
        Page(self.read("build/report.html"))

    def test_a_program_that_fails_fails_the_run_and_spoils_no_other(self):
        self.fake_program("bad_bench", ["x"], status=3)
        self.fake_program("good_bench", ["y"])

        done = self.measure("--quick")

        self.assertEqual(done.returncode, 1)
        self.assertIn("bad ended with status 3", done.stdout)
        self.assertRegex(done.stdout, r"\by +7\.00 ns")
        self.assertIn("bad ended with status 3", self.read("build/report.html"))

    def markers(self):
        return self.write("root/README.md", "above\n<!-- measured: begin; written by bench/run --readme -->\n"
                          "<!-- measured: end -->\nbelow\n")

    def test_measuring_for_the_readme_writes_its_section(self):
        self.fake_program("throughput_bench", ["bus/buffer:1024/publishers:1/workers:1/subscribers:1"], others=1.5)
        self.markers()

        done = self.measure("--readme", "--repetitions", "2", "--quiet", "1000", "--load", "7.50 5.00 1.00")

        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(self.read("root/README.md"), r"(?s)above.*## What it costs.*Medians of 2.*1\.50 proc.*below\n$")
        self.assertEqual(json.loads(self.read("build/report.json"))["machine"]["load before"], "7.50 5.00 1.00")

    def test_the_readme_keeps_its_figures_when_others_used_the_machine_meanwhile(self):
        self.fake_program("throughput_bench", ["x"], others=1001.0)
        before = self.read(self.markers())

        done = self.measure("--readme", "--quiet", "1000")

        self.assertEqual(done.returncode, 1)
        self.assertIn("README.md stays as it is: The machine was busy", done.stdout)
        self.assertEqual(self.read("root/README.md"), before)

    def test_what_could_not_be_written_is_not_measured(self):
        self.fake_program("throughput_bench", ["x"])
        self.write("root/README.md", "no place for figures")
        without_section = self.measure("--readme", "--quiet", "1000")
        self.markers()
        busy = self.measure("--readme", "--quiet", "-1")

        self.assertEqual((without_section.returncode, busy.returncode), (2, 1))
        self.assertIn("README.md", without_section.stderr)
        self.assertIn("Nothing was measured", busy.stderr)
        self.assertFalse(os.path.exists(self.path("build/report.json")))

    def fake_sleeper(self, name):
        """A benchmark that takes its time; it says who it is, when it has begun."""
        self.fake_program(name, ["x"])
        self.write("build/bench/" + name, """#!%s
import os, sys, time
if "list_tests" in sys.argv[1]:
    print("x")
    sys.exit()
with open(%r, "w") as file:
    file.write(str(os.getpid()))
os.rename(%r, %r)
time.sleep(100)
""" % (sys.executable, self.path("pid~"), self.path("pid~"), self.path("pid")))

    def test_what_the_time_of_a_quick_run_cuts_off_is_left_out_and_no_failure(self):
        self.fake_program("first_bench", ["y"])
        self.fake_sleeper("slow_bench")

        done = self.measure("--quick", "--budget", "3")

        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"left out: slow: cut off")
        self.assertRegex(done.stdout, r"\by +7\.00 ns")
        self.assertNotIn("FAILED", done.stdout + done.stderr)
        self.assertFalse(alive(int(self.read("pid"))))

    def test_a_quick_run_measures_programs_of_fixed_length_once(self):
        self.fake_program("open_loop_bench", ["a/iterations:1000"])
        self.fake_program("first_bench", ["b"])

        done = self.measure("--quick")

        programs = json.loads(self.read("build/report.json"))["programs"]
        self.assertEqual({each["name"]: len(each["rows"]) for each in programs}, {"open_loop": 1, "first": 3})
        self.assertEqual(programs[0]["rows"][0]["name"], "a/iterations:250")
        self.assertIn("Medians of 3 (1 of open_loop)", done.stdout)

    def test_who_is_asked_to_end_ends_the_benchmark_too(self):
        self.fake_sleeper("slow_bench")
        with subprocess.Popen([sys.executable, os.path.join(ROOT, "bench", "measure.py"), "--root", self.path("root"),
                               "--build", self.path("build")], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as running:
            while not os.path.exists(self.path("pid")) and running.poll() is None:
                time.sleep(0.01)
            running.terminate()
            status = running.wait(60)

        self.assertEqual(status, 128 + 15)
        self.assertFalse(alive(int(self.read("pid"))))

    def test_a_part_measured_leaves_the_last_whole_run(self):
        self.fake_program("first_bench", ["a", "b"])
        self.measure()
        whole = self.read("build/report.json")

        once = self.measure("--filter", "first/a")
        twice = self.measure("--quick")

        self.assertEqual(self.read("build/whole.json"), whole)
        self.assertTrue(os.path.exists(self.path("build/whole.html")))
        self.assertTrue(json.loads(self.read("build/report.json"))["quick"])
        self.assertIn("whole.json", once.stdout)
        self.assertIn("whole.json", twice.stdout)

    def fake_compiler(self, text):
        os.chmod(self.write("root/bench/compile_time.sh", "#!/bin/sh\n# What of it? Nothing.\n#\n#   bench/compile_time.sh\n"
                            + text), 0o755)
        self.write("build/bench/nothing", "")
        self.write("build/CMakeCache.txt", "CMAKE_CXX_COMPILER:FILEPATH=/my/compiler\n")

    def test_the_time_to_compile_is_measured_as_a_benchmark_with_the_compiler_of_the_build(self):
        self.fake_compiler("[ $CXX = /my/compiler ] || exit 1\nfor how in syntax object; do\n"
                           "echo $how/gossip 1.5; echo $how/standard_headers 0.5; done\n")

        done = self.measure("--filter", "compile_time", "--quick")

        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("compile_time: What of it?\n", done.stdout)
        self.assertRegex(done.stdout, r"object/gossip +1\.50 s .*0\.33× standard_headers")
        self.assertEqual(json.loads(self.read("build/report.json"))["programs"][0]["rows"][0]["cpu_time"], 1.5)

    def test_a_program_that_does_not_compile_is_a_failure(self):
        self.fake_compiler("echo no such header >&2\nexit 1\n")

        done = self.measure("--filter", "compile_time/syntax")

        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: compile_time: no such header", done.stdout)

    def test_versions_of_what_is_linked_head_the_report(self):
        self.fake_program("first_bench", ["a"])
        self.write("build/bench/versions.txt", "hiredis: 0.14.1\n")

        self.measure()

        self.assertIn("<dt>hiredis</dt><dd>0.14.1</dd>", self.read("build/report.html"))

    def test_a_filter_that_takes_nothing_is_an_error(self):
        self.fake_program("first_bench", ["a"])

        done = self.measure("--filter", "nothing like it")

        self.assertEqual(done.returncode, 2)
        self.assertIn("no benchmark matches", done.stderr)


if __name__ == "__main__":
    unittest.main()
