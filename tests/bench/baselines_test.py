#!/usr/bin/env python3
"""No benchmark stands alone: baselines_test.py <folder of the project> <benchmark program>...

Asks the programs for their names, makes figures up for them, and wants beside each one a baseline of the same run, or
that it is one.
"""

import os
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
ROOT, PROGRAMS = sys.argv[1], sys.argv[2:]
del sys.argv[1:]
sys.path.insert(0, os.path.join(ROOT, "bench"))
import report  # noqa: E402

# Whose names cannot tell, and why.
EXCEPTIONS = (
    (r"latency/sleeping", "measures the locked bus in turn with ours: locked_p50 and locked_p99 stand in the same row"),
)


def names(program):
    done = subprocess.run([program, "--benchmark_list_tests=true"], capture_output=True, text=True, check=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    return [line for line in done.stdout.splitlines() if line]


def made_up(program):
    short = os.path.basename(program).removesuffix("_bench")
    rows = [{"name": name, "run_name": name, "real_time": 2.0, "cpu_time": 2.0, "time_unit": "ns"}
            for name in names(program)]
    return report.Figures({"programs": [{"name": short, "rows": rows}]})


class Baselines(unittest.TestCase):
    def test_every_figure_has_a_baseline_or_is_one(self):
        for program in PROGRAMS:
            figures = made_up(program)
            self.assertTrue(figures.all, program + " has no benchmarks")
            for (short, name), figure in figures.all.items():
                with self.subTest(program=short, name=name):
                    excepted = any(re.match(pattern, short + "/" + name) for pattern, _ in EXCEPTIONS)
                    self.assertTrue(report.is_baseline(figure) or figures.baselines(figure) or excepted,
                                    "nothing stands beside it")

    def test_no_two_benchmarks_have_one_name_in_the_report(self):
        for program in PROGRAMS:
            self.assertEqual(len(made_up(program).all), len(names(program)), program)


if __name__ == "__main__":
    unittest.main()
