#!/usr/bin/env python3
"""Runs tools/claims on small made-up trees: each disagreement is found, each kind of bad twin is called bad."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("claims", str(Path(__file__).with_name("claims")))
SPEC = importlib.util.spec_from_loader("claims", LOADER)
claims = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(claims)

SOURCE = '#include "a.h"\nif (!KITH_GUARD("P11.tag", fits)) return fail();\n'
TEST = 'TEST_CASE("P11: a flipped bit is refused") {}\n'
LIST = """
[[claim]]
id = "P11"
sentence = "A wrong tag is refused."
tests = [{ executable = "adversary", case = "P11: *", guards = ["P11.tag"] }]
"""

# Stands in for a doctest executable: {normal} and {twin} are the lines that decide what it prints.
FAKE = """#!/bin/sh
summary() {{
  echo "[doctest] test cases:  $1 |  ${{4:-0}} passed | 1 failed | 7 skipped"
  echo "[doctest] assertions:  9 |  $2 passed | $3 failed |"
}}
if [ -z "$KITH_SABOTAGE" ]; then {normal}; else {twin}; fi
"""
GOOD_NORMAL = "summary 1 9 0; exit 0"
GOOD_TWIN = "summary 1 8 1; exit 1"


class ClaimsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        self.write("src/a.cpp", SOURCE)
        self.write("tests/adversary/a.cpp", TEST)
        self.write("tests/claims.toml", LIST)
        self.write("tools/claim_ids.txt", "# ids\nP11 tag\nP12 other\n")
        (self.root / "docs").mkdir()

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def check(self):
        (self.root / "docs/claims.md").write_text(claims.render(self.root))
        return claims.check(self.root)

    def one(self, part):
        errors = self.check()
        self.assertTrue(any(part in error for error in errors), f"expected '{part}' in {errors}")

    def run_fake(self, normal=GOOD_NORMAL, twin=GOOD_TWIN):
        fake = self.write("build/adversary", FAKE.format(normal=normal, twin=twin))
        os.chmod(fake, 0o755)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            failures = claims.run(self.root, self.root / "build", 2, set())
        return failures, output.getvalue()

    def bad(self, part, **lines):
        failures, output = self.run_fake(**lines)
        self.assertEqual(failures, 1, output)
        self.assertIn(part, output)

    def test_a_list_that_agrees_with_the_tree_passes(self):
        self.assertEqual(self.check(), [])

    def test_a_guard_that_no_claim_lists_fails(self):
        self.write("src/b.cpp", 'KITH_GUARD(\n    "P12.other", x)')
        self.one("src/b.cpp:1: no claim of tests/claims.toml lists the guard 'P12.other'")

    def test_a_guard_in_a_comment_does_not_count(self):
        self.write("src/a.cpp", '// KITH_GUARD("P11.tag", x)\n')
        self.one("lists the guard 'P11.tag', which is not in src/")

    def test_a_guard_of_an_unknown_claim_fails(self):
        self.write("src/b.cpp", 'KITH_GUARD("P99.other", x) KITH_GUARD("wrong", x)')
        self.one("names no claim of tools/claim_ids.txt")
        self.one("is not of the form")

    def test_an_adversary_test_without_a_claim_fails(self):
        self.write("tests/adversary/b.cpp", 'TEST_CASE("P12: other") {} TEST_CASE("nothing") {}')
        self.one("no test of P12 in tests/claims.toml matches it")
        self.one("does not begin with the id of its claim")

    def test_a_claim_without_a_test_fails_unless_planned_with_an_issue(self):
        self.write("tests/claims.toml", LIST + '[[claim]]\nid = "P12"\nsentence = "Something holds."\n')
        self.one("P12: has no test")
        planned = LIST + '[[claim]]\nid = "P12"\nsentence = "Something holds."\nstatus = "planned"\n'
        self.write("tests/claims.toml", planned)
        self.one("names the issue")
        self.write("tests/claims.toml", planned + "issue = 3\n")
        self.assertEqual(self.check(), [])

    def test_a_guard_without_a_test_is_planned_with_an_issue(self):
        self.write("src/b.cpp", 'KITH_GUARD("P11.replay", x)')
        self.write("tests/claims.toml", LIST + 'planned_guards = ["P11.replay"]\n')
        self.one("names the issue")
        self.write("tests/claims.toml", LIST + 'planned_guards = ["P11.replay"]\nissue = 3\n')
        self.assertEqual(self.check(), [])

    def test_an_unknown_id_fails(self):
        self.write("tests/claims.toml", LIST.replace('"P11"', '"P99"'))
        self.one("P99: is not in tools/claim_ids.txt")

    def test_a_test_without_guards_says_why(self):
        self.write("tests/claims.toml", LIST.replace(', guards = ["P11.tag"]', ""))
        self.one("must say why in `no_twin`")

    def test_a_pattern_that_matches_nothing_fails(self):
        self.write("tests/claims.toml", LIST.replace("P11: *", "P11 none*"))
        self.one("no test case in tests/adversary matches")

    def test_stale_docs_fail_but_moved_lines_do_not(self):
        self.check()
        self.write("src/a.cpp", "\n\n" + SOURCE)
        self.assertEqual(claims.check(self.root), [])
        self.write("tests/claims.toml", LIST.replace("wrong tag", "bad tag"))
        self.assertIn("docs/claims.md: is not up to date; run tools/claims docs", claims.check(self.root))

    def test_a_green_test_with_a_red_twin_passes(self):
        failures, output = self.run_fake()
        self.assertEqual(failures, 0, output)
        self.assertIn("1 tests, 1 twins, 0 wrong", output)

    def test_a_failing_test_is_reported(self):
        self.bad("failed: 1 assertions", normal=GOOD_TWIN)

    def test_a_test_without_assertions_is_reported(self):
        self.bad("made no assertion", normal="summary 1 0 0; exit 0")

    def test_a_pattern_that_runs_no_case_is_reported(self):
        self.bad("no test case ran", normal="summary 0 0 0; exit 0")

    def test_a_green_twin_is_reported(self):
        self.bad("stayed green", twin=GOOD_NORMAL)

    def test_a_crashing_twin_is_reported(self):
        self.bad("no test case ran to its end", twin="echo boom; exit 99")
        self.bad("crashed (exit 99)", twin="summary 1 8 1; exit 99")

    def test_a_case_that_stays_green_beside_a_red_one_is_reported(self):
        self.bad("1 of the cases that match stayed green", twin="summary 2 8 1 1; exit 1")

    def test_a_twin_that_skips_is_reported(self):
        self.bad("no test case ran", twin="summary 0 0 0; exit 0")

    def test_a_twin_that_fails_without_an_assertion_is_reported(self):
        self.bad("without a failing assertion", twin="summary 1 9 0; exit 1")

    def test_a_missing_executable_is_reported(self):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            (self.root / "build").mkdir()
            self.assertEqual(claims.run(self.root, self.root / "build", 2, set()), 2)
        self.assertIn("no executable adversary", output.getvalue())

    def test_a_script_counts_by_its_ok_lines(self):
        test = {"script": ["x"]}
        self.assertEqual(claims.judge(test, None, 0, "ok - one\n"), "")
        self.assertEqual(claims.judge(test, None, 0, "nothing\n"), "made no assertion")
        self.assertEqual(claims.judge(test, "P11.tag", 1, "ok - one\nnot ok - two\n"), "")
        self.assertIn("stayed green", claims.judge(test, "P11.tag", 0, "ok - one\n"))


if __name__ == "__main__":
    unittest.main()
